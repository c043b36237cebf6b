"""Training rows as tensors and plain values, as checkpoints and files for study hold them.

What is unpacked equals what was packed bit for bit; a picture that several rows show is kept once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..agents.rows import Row
from .batch import WeightedRow

_OF_ROW = ("ids", "mask", "logprobs")
_OF_WEIGHTED = ("advantages", "turns", "targets", "is_target")
_WHOLE_NUMBERS = ("ids", "mask", "turns")


def pack_rows(rows: Sequence[WeightedRow]) -> dict[str, Any]:
    """Rows as `unpack_rows` reads them."""
    packed: dict[str, Any] = {
        name: _joined([getattr(row.row, name) for row in rows], name) for name in _OF_ROW
    }
    packed |= {name: _joined([getattr(row, name) for row in rows], name) for name in _OF_WEIGHTED}
    packed["weight"] = torch.tensor([row.weight for row in rows], dtype=torch.float64)
    packed["index"] = torch.tensor([row.index for row in rows], dtype=torch.int64)
    pictures: dict[int, np.ndarray] = {}  # by identity: members of a group share theirs
    places = []
    for row in rows:
        pictures |= {id(image): image for image in row.row.images}
        order = {key: place for place, key in enumerate(pictures)}
        places.append([order[id(image)] for image in row.row.images])
    packed["pictures"] = [torch.from_numpy(np.array(image)) for image in pictures.values()]
    packed["pictures_of"] = places
    return packed


def unpack_rows(packed: Mapping[str, Any]) -> list[WeightedRow]:
    """The rows that `pack_rows` was given."""
    of_row = zip(*(_parts(packed[name]) for name in _OF_ROW), strict=True)
    of_weighted = zip(*(_parts(packed[name]) for name in _OF_WEIGHTED), strict=True)
    pictures = [picture.numpy() for picture in packed["pictures"]]
    rows = []
    each = zip(
        of_row,
        of_weighted,
        packed["weight"].tolist(),
        packed["index"].tolist(),
        packed["pictures_of"],
        strict=True,
    )
    for read, learnt, weight, index, places in each:
        images = tuple(pictures[place] for place in places)
        row = Row(**dict(zip(_OF_ROW, read, strict=True)), images=images)
        more = dict(zip(_OF_WEIGHTED, learnt, strict=True))
        rows.append(WeightedRow(row=row, weight=weight, index=index, **more))
    return rows


def pack_numbers(numbers: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """One tensor [T] per row, by the rows' indices."""
    lengths = [len(values) for values in numbers.values()]
    joined = [values.detach().cpu() for values in numbers.values()]
    return {
        "index": torch.tensor(list(numbers), dtype=torch.int64),
        "values": torch.cat(joined) if joined else torch.zeros(0),
        "lengths": torch.tensor(lengths, dtype=torch.int64),
    }


def unpack_numbers(packed: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """What `pack_numbers` was given."""
    parts = packed["values"].split(packed["lengths"].tolist())
    return dict(zip(packed["index"].tolist(), parts, strict=True))


def _joined(values: Sequence[Sequence[float]], name: str) -> dict[str, Tensor]:
    kind = torch.int64 if name in _WHOLE_NUMBERS else torch.float64
    return {
        "values": torch.tensor([value for each in values for value in each], dtype=kind),
        "lengths": torch.tensor([len(each) for each in values], dtype=torch.int64),
    }


def _parts(joined: Mapping[str, Tensor]) -> Iterator[list[Any]]:
    values, start = joined["values"].tolist(), 0
    for length in joined["lengths"].tolist():
        yield values[start : start + length]
        start += length
