"""Pictures to tensors for the Mllama family (Llama-3.2-Vision), and its cross-attention masks.

Departure from transformers: there, text before the first picture (and a row without pictures)
attends uniformly to every picture and padding slot of the batch, so that log-probabilities depend
on what else is in the batch. `mask_unseen_cross_attention` zeroes the cross-attention output of
such positions, as the original implementation does.
https://github.com/meta-llama/llama-models (models/llama3/multimodal/model.py)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import MllamaConfig, PreTrainedConfig
from transformers.models.mllama.image_processing_pil_mllama import get_all_supported_aspect_ratios

from ..config import BuildConfig, Family
from ..tokenizer import IMAGE
from ..vision import Images, PictureCache, Vision, VisionFamily, distinct, entry_key
from .spec import FamilySpec, Tokenizer, text_settings

OPEN_GATE = 1.0  # tanh(1) = 0.76
HALF_OPEN_GATE = 0.5


class _Tiles(NamedTuple):
    """One picture, preprocessed."""

    pixels: torch.Tensor  # [tiles, 3, S, S]
    aspect_ratio_id: int
    aspect_ratio_mask: torch.Tensor  # [tiles]
    num_tiles: int


class MllamaVision(VisionFamily):
    """Tensors of a batch, for U distinct picture tuples of at most N pictures, B rows of L tokens:

    pixel_values [U, N, tiles, 3, S, S], aspect_ratio_ids [U, N], aspect_ratio_mask [U, N, tiles],
    entry_keys [U], image_rows [B] (which of the U a row shows), cross_attention_mask
    [B, L, N, tiles].
    """

    def __init__(self, processor: Any, config: Any, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.processor = processor
        self.image_token_id = int(config.image_token_index)
        self.reserved_ids = frozenset({self.image_token_id})
        self.max_tiles = int(config.vision_config.max_num_tiles)
        self._tiles = PictureCache(self._cut)

    def batch(
        self, images: Sequence[Images], ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        if not any(images):
            return {}
        unique, rows = distinct(images)
        tensors = self._pixels(unique, ids.device)
        slots = tensors["pixel_values"].shape[1]
        keys = [entry_key(entry, layout=slots) for entry in unique]
        tensors["entry_keys"] = torch.tensor(keys, device=ids.device)
        tensors["image_rows"] = torch.tensor(rows, device=ids.device)
        tensors["cross_attention_mask"] = self._cross_attention_mask(images, ids, attention_mask)
        return tensors

    def inputs(self, model: Any, vision: Vision) -> dict[str, Any]:
        return {
            "cross_attention_states": torch.stack(self.encode_once(model, vision))[
                vision["image_rows"]
            ],
            "cross_attention_mask": vision["cross_attention_mask"],
        }

    def next_inputs(self, vision: Vision, owners: torch.Tensor) -> Vision:
        """A new token sees what the prompt's last token sees."""
        if not vision:
            return {}
        return {"cross_attention_mask": vision["cross_attention_mask"][owners, -1:]}

    def features(self, model: Any, images: Sequence[np.ndarray]) -> torch.Tensor:
        pixels = self._pixels([(image,) for image in images], model.device)
        return torch.stack(self.encode(model, pixels))

    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        """Projected patches of every distinct entry: [N * tiles * patches, hidden] each."""
        patches = model.model.vision_model(
            pixel_values=vision["pixel_values"].to(model.dtype),
            aspect_ratio_ids=vision["aspect_ratio_ids"],
            aspect_ratio_mask=vision["aspect_ratio_mask"],
        ).last_hidden_state  # [U, N, tiles, patches, vision_output_dim]
        return list(model.model.multi_modal_projector(patches).flatten(1, 3))

    def select(self, vision: Vision, entries: Sequence[int]) -> Vision:
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        return {name: vision[name][list(entries)] for name in names}

    def modules(self, model: Any) -> list[nn.Module]:
        return [model.model.vision_model, model.model.multi_modal_projector]

    def _pixels(self, images: Sequence[Images], device: torch.device) -> Vision:
        """Pixel and aspect-ratio tensors, one entry per element of `images`."""
        tiles = [[self._tiles[image] for image in row] for row in images]
        first = next(t for row in tiles for t in row)
        slots = (len(images), max(len(row) for row in tiles))
        pixels = torch.zeros(*slots, *first.pixels.shape)
        ratio_ids = torch.zeros(slots, dtype=torch.long)  # 0: no picture
        ratio_mask = torch.zeros(*slots, self.max_tiles, dtype=torch.long)
        ratio_mask[..., 0] = 1  # transformers' convention: an absent picture keeps its first tile
        for u, row in enumerate(tiles):
            for n, tile in enumerate(row):
                pixels[u, n] = tile.pixels
                ratio_ids[u, n] = tile.aspect_ratio_id
                ratio_mask[u, n] = tile.aspect_ratio_mask
        return {
            "pixel_values": pixels.to(device),
            "aspect_ratio_ids": ratio_ids.to(device),
            "aspect_ratio_mask": ratio_mask.to(device),
        }

    def _cross_attention_mask(
        self, images: Sequence[Images], ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """[B, L, N, tiles]: a token sees the run of pictures last shown before it, or none."""
        placeholders = (ids == self.image_token_id) & attention_mask.bool()
        most = max(len(row) for row in images)
        mask = torch.zeros(*ids.shape, most, self.max_tiles, device=ids.device)
        for row, (shown, places) in enumerate(zip(images, placeholders, strict=True)):
            at = places.nonzero().flatten().tolist()
            if len(at) != len(shown):
                raise ValueError(
                    f"a row must hold {len(shown)} placeholders for its pictures; got {len(at)}"
                )
            for n, (start, stop) in enumerate(_visible_spans(at, ids.shape[1])):
                mask[row, start:stop, n, : self._tiles[shown[n]].num_tiles] = 1
        return mask

    def _cut(self, image: np.ndarray) -> _Tiles:
        out = self.processor(image, return_tensors="pt", input_data_format="channels_last")
        return _Tiles(
            out["pixel_values"][0, 0],
            int(out["aspect_ratio_ids"][0, 0]),
            out["aspect_ratio_mask"][0, 0],
            int(out["num_tiles"][0][0]),
        )


def mask_unseen_cross_attention(model: Any) -> None:
    """Make positions that see no picture take nothing from cross-attention (see the module).

    What is seen travels in the layer's own arguments, so that a layer that is computed again in the
    backward pass (gradient checkpointing) masks what it masked before.
    """
    for layer in model.model.language_model.layers:
        if hasattr(layer, "cross_attn"):
            layer.register_forward_pre_hook(_hand_on_seen, with_kwargs=True)
            layer.cross_attn.register_forward_pre_hook(_take_seen, with_kwargs=True)
            layer.cross_attn.register_forward_hook(_mask_output)


def _hand_on_seen(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args, {**kwargs, "seen": kwargs.get("full_text_row_masked_out_mask")}


def _take_seen(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    attention.seen = kwargs.pop("seen")  # [B, 1, L, 1] of 0 and 1
    return args, kwargs


def _mask_output(attention: Any, args: tuple[Any, ...], output: tuple[Any, ...]) -> Any:
    seen, attention.seen = attention.seen, None
    return output if seen is None else (output[0] * seen[:, 0], *output[1:])


def _visible_spans(places: list[int], length: int) -> list[tuple[int, int]]:
    """[start, stop) of the tokens that see each picture; neighbours are seen together."""
    spans: list[tuple[int, int]] = []
    stop = length
    for n in reversed(range(len(places))):
        neighbour = n + 1 < len(places) and places[n + 1] == places[n] + 1
        if n + 1 < len(places) and not neighbour:
            stop = places[n + 1]
        spans.append((places[n], stop))
    return spans[::-1]


def _shape(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    width, depth = config.vision_hidden_size, config.vision_layers
    return MllamaConfig(
        text_config={
            **text_settings(config, tokenizer),
            "cross_attention_layers": list(range(1, config.num_layers, 2)),
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": width,
            "num_hidden_layers": depth,
            "num_global_layers": 1,
            "attention_heads": 4,
            "intermediate_size": 4 * width,
            "image_size": config.tile_size,
            "patch_size": config.patch_size,
            "max_num_tiles": config.max_tiles,
            # Explicit: the default list is that of four tiles.
            "supported_aspect_ratios": [
                list(ratio) for ratio in get_all_supported_aspect_ratios(config.max_tiles)
            ],
            "intermediate_layers_indices": [depth - 1],
            "vision_output_dim": 2 * width,  # the final layer and one intermediate layer
        },
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )


@torch.no_grad()
def _open_gates(model: nn.Module) -> None:
    """Departs from transformers' initialisation, for a model that learns from nothing.

    At 0 the gates of cross-attention, global vision layers and positional embeddings suit grafting
    onto a trained language model, but starve a new one.
    """
    for name, parameter in model.named_parameters():
        if name.endswith(("attn_gate", "mlp_gate", "gate_attn", "gate_ffn")):
            parameter.fill_(OPEN_GATE)
        elif name.endswith("embedding.gate"):
            parameter.fill_(HALF_OPEN_GATE)


def _processor(config: BuildConfig) -> dict[str, Any]:
    side = config.tile_size
    return {"size": {"height": side, "width": side}, "max_image_tiles": config.max_tiles}


FAMILY = FamilySpec(
    family=Family.mllama,
    model_types=("mllama",),
    blocks=(
        "MllamaSelfAttentionDecoderLayer",
        "MllamaCrossAttentionDecoderLayer",
        "MllamaVisionEncoderLayer",
    ),
    shape=_shape,
    processor="MllamaImageProcessor",
    tiny_processor=_processor,
    vision=MllamaVision,
    prepare=mask_unseen_cross_attention,
    initialize=_open_gates,
)
