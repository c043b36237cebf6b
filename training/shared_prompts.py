"""Which training rows go through the model together, where rows that begin alike share a prompt.

A group's rows have one prompt, and `agents/packing.py` lets the model read it once. Whether that is
less to compute hangs on lengths: with long prompts and short answers it is a fraction, with long
answers attention over the packed sequence costs more than it saves. `optim.share_prompts=null` has
it decided for each batch by the sum over its micro-batches, with the rule that `packing` follows.
"""

from collections.abc import Iterator, Sequence

from ..agents.packing import SharedKey, cost, shared_key, takes_masks
from ..agents.policy import Policy
from .batch import WeightedRow, micro_batches
from .optim_config import OptimConfig

WORTHWHILE = 0.95  # of the cost of rows by length, which pads less

Keys = dict[int, SharedKey]  # by a row's index


def chosen_batches(
    rows: Sequence[WeightedRow], optim: OptimConfig, policy: Policy
) -> tuple[list[list[WeightedRow]], bool]:
    """Micro-batches of all rows, and whether their prompts are to be shared (`collate`).

    The same for any order of the rows. A micro-batch has at most `micro_batch_tokens` padded tokens
    (but at least one row), a shared prompt counting once.
    """
    limit = optim.micro_batch_tokens
    apart = list(micro_batches(rows, limit))
    if optim.share_prompts is False or not takes_masks(policy):
        return apart, False
    found = {row.index: shared_key(policy, row.row) for row in rows}
    keys = {index: key for index, key in found.items() if key is not None}
    alone = [row for row in rows if row.index not in keys]
    together = list(micro_batches(alone, limit))
    for part in _by_prompt([row for row in rows if row.index in keys], keys, limit):
        is_packed = _cost(policy, part, keys) < _cost(policy, part, None)
        together += [part] if is_packed else micro_batches(part, limit)
    least = sum(_cost(policy, part, keys) for part in together)
    most = WORTHWHILE * sum(_cost(policy, part, None) for part in apart)
    if optim.share_prompts is None and least > most:
        return apart, False
    return together, True


def _cost(policy: Policy, part: Sequence[WeightedRow], keys: Keys | None) -> float:
    own = None if keys is None else [keys.get(row.index) for row in part]
    return cost(policy, [row.num_tokens for row in part], own)


def _by_prompt(
    rows: Sequence[WeightedRow], keys: Keys, max_tokens: int
) -> Iterator[list[WeightedRow]]:
    """Groups of like size together; one that is too large is cut."""
    groups: dict[SharedKey, list[WeightedRow]] = {}
    for row in sorted(rows, key=lambda row: row.index):
        groups.setdefault(keys[row.index], []).append(row)
    batch: list[WeightedRow] = []
    count, widest = 0, 0  # groups in the batch, and the longest of them with its prompt once
    for members in sorted(groups.values(), key=lambda members: _place(members, keys)):
        prompt = len(keys[members[0].index][0])
        width, count = prompt, count + 1
        for row in members:
            more = row.num_tokens - prompt
            if batch and count * max(widest, width + more) > max_tokens:
                yield batch
                batch, count, widest, width = [], 1, 0, prompt
            batch.append(row)
            width += more
            widest = max(widest, width)
    if batch:
        yield batch


def _place(members: Sequence[WeightedRow], keys: Keys) -> tuple[int, int]:
    """A group's place in the order: by its length with the prompt once, then by index."""
    prompt = len(keys[members[0].index][0])
    return prompt + sum(row.num_tokens - prompt for row in members), members[0].index
