"""Decoding steps of a few fixed shapes, compiled: on a GPU a step is mostly the launching of it.

A step of `running` has the shapes of the moment, which change with every token. Here rows, prompts,
rows per prompt and columns are rounded up, rows that nobody asked for compute nothing of use, and
masks hide what is not there. Then torch.compile needs one graph for each shape that was ever seen,
at most `MAX_SHAPES`, and on CUDA replays it without Python (mode "reduce-overhead").

Keys, values and all else that a step reads stand at the same place in memory from one rollout to
the next, as a replay wants it: they are kept between rollouts, prompts a second time, and only
grow. It is the same attention over the same cache as otherwise (see `attention`), so answers and
log-probabilities are the same but for rounding.

Not for cross-attention to pictures (Mllama), nor where weights are split over processes.
"""

import logging
import shutil
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .attention import Sharing
from .cache import Layout, SharedCache, SharedLayer, additive
from .compiled import COMPILERS
from .prefill import PromptStore
from .running import RunningRows
from .scoring import hidden_states

logger = logging.getLogger(__name__)

MAX_SHAPES = 16
COLUMNS = 64  # ids are rounded up to a multiple of so many


@dataclass(frozen=True, slots=True)
class Shape:
    """rows: decoded at once (B). prompts (U), and places for rows of each (G)."""

    rows: int
    prompts: int
    per_prompt: int


class FixedDecoder:
    """The compiled steps of one model, and the memory that they read.

    backend: of torch.compile, for tests; None: by the device. compiled: false runs the same step
    as it is written.
    """

    def __init__(
        self, model: Any, *, backend: str | Callable[..., Any] | None = None, compiled: bool = True
    ) -> None:
        check_fixed(model)
        self._model = model
        self._run: Callable[..., torch.Tensor] = _states
        if compiled:
            config = torch._dynamo.config  # else torch would stop compiling after eight shapes
            config.recompile_limit = max(config.recompile_limit, 4 * MAX_SHAPES)
            options: dict[str, Any] = {} if backend is None else {"backend": backend}
            if backend is None and model.device.type == "cuda":
                options["mode"] = "reduce-overhead"
            self._run = torch.compile(_states, dynamic=False, **options)
        windows = [getattr(module, "sliding_window", None) for module in model.modules()]
        self._window = min((each for each in windows if each is not None), default=None)
        self._store: _Store | None = None
        self._steps: dict[Shape, FixedStep] = {}

    @property
    def num_shapes(self) -> int:
        """Shapes that have steps now."""
        return len(self._steps)

    def begin(self, batch: RunningRows, prompts: PromptStore) -> "FixedStep | None":
        """The step of newly seated rows; None where there is none, and the ordinary one is to do.

        The cache of `prompts` moves into the memory of the steps.
        """
        shape = _shape(batch)
        store = self._roomy(shape, prompts)
        if self._window is not None and store.length + store.room > self._window:
            return None
        step = self._steps.get(shape)
        if step is None:
            if len(self._steps) == MAX_SHAPES:
                logger.info("decoding %s uncompiled: there are %d shapes", shape, MAX_SHAPES)
                return None
            step = self._steps[shape] = FixedStep(self._model, self._run, store, shape)
        store.take(prompts.cache)
        step.begin(batch, prompts.cache)
        return step

    def _roomy(self, shape: Shape, prompts: PromptStore) -> "_Store":
        """Memory with room for this shape and for the cache; the old one and its steps go."""
        first = prompts.cache.layers[0]
        assert isinstance(first, SharedLayer)
        rows, _, room, _ = first.own_keys.shape
        needs = (
            next_power(max(shape.rows, rows)),
            shape.prompts,
            whole_columns(first.prompt_keys.shape[2]),
            whole_columns(room),
        )
        store = self._store
        if store is None or any(have < need for have, need in zip(store.sizes, needs, strict=True)):
            if store is not None:
                needs = tuple(map(max, needs, store.sizes))  # type: ignore[assignment]
            self._steps.clear()
            self._store = store = _Store(prompts.cache, *needs)
        return store


class _Store:
    """Keys and values of S rows with `room` columns each, and of U prompts of `length` ids."""

    def __init__(self, cache: SharedCache, rows: int, prompts: int, length: int, room: int) -> None:
        self.sizes = (rows, prompts, length, room)
        self.rows, self.prompts, self.length, self.room = self.sizes
        self._of: Callable[[], SharedCache | None] = lambda: None  # the cache that is here
        self.own: list[list[torch.Tensor]] = []
        self.shared: list[list[torch.Tensor]] = []
        for layer in cache.layers:
            assert isinstance(layer, SharedLayer)
            heads, size = layer.own_keys.shape[1], layer.own_keys.shape[3]
            like = layer.prompt_keys
            self.own.append([like.new_zeros(rows, heads, room, size) for _ in range(2)])
            keys = like.new_zeros(prompts, heads, size, length).mT  # as it is multiplied
            self.shared.append([keys, like.new_zeros(prompts, heads, length, size)])
        first = self.own[0][0]
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=first.device)
        self.position, self.count = torch.zeros_like(self.ids), torch.zeros_like(self.ids[:, 0])
        self.mask = first.new_zeros(rows, 1, 1, room)
        for tensor in (each for pair in self.own + self.shared for each in pair):
            torch._dynamo.mark_static_address(tensor)

    def holds(self, cache: SharedCache) -> bool:
        return self._of() is cache

    def take(self, cache: SharedCache) -> None:
        """Rows move here, and those of another cache out; prompts are copied."""
        last = self._of()
        if last is not None and last is not cache:
            for layer in last.layers:
                assert isinstance(layer, SharedLayer)
                layer.own_keys, layer.own_values = layer.own_keys.clone(), layer.own_values.clone()
        self._of = weakref.ref(cache)
        for layer, own, shared in zip(cache.layers, self.own, self.shared, strict=True):
            assert isinstance(layer, SharedLayer)
            if layer.own_keys is not own[0]:
                for store, held in zip(own, (layer.own_keys, layer.own_values), strict=True):
                    store.zero_()  # of the last rollout: what is masked must be finite
                    store[: held.shape[0], :, : held.shape[2]] = held
                layer.own_keys, layer.own_values = own
            for store, held in zip(shared, (layer.prompt_keys, layer.prompt_values), strict=True):
                count, _, length, _ = held[: self.prompts].shape
                store[:count, :, self.length - length :] = held[: self.prompts]


class FixedStep:
    """Reads one more token of every row, always with the same tensors."""

    def __init__(
        self, model: Any, run: Callable[..., torch.Tensor], store: _Store, shape: Shape
    ) -> None:
        self._model, self._run, self._store, self._shape = model, run, store, shape
        device = store.ids.device
        self._sharing = Sharing(
            num_prompts=shape.prompts,
            per_prompt=shape.per_prompt,
            places=torch.zeros(shape.rows, dtype=torch.long, device=device),
            padding=store.mask.new_zeros(shape.prompts, 1, 1, store.length),
        )
        self._ids, self._position = store.ids[: shape.rows], store.position[: shape.rows]
        self._count, self._mask = store.count[: shape.rows], store.mask[: shape.rows]
        stays = (self._ids, self._position, self._count, self._mask)
        for tensor in (*stays, self._sharing.places, self._sharing.padding):
            torch._dynamo.mark_static_address(tensor)
        self.cache = SharedCache()
        self.cache.present.layout = Layout(
            sharing=self._sharing, first=0, start=self._count, width=store.room, mask=self._mask
        )
        for own, shared in zip(store.own, store.shared, strict=True):
            layer = SharedLayer(self.cache.present, grows=True)
            layer.own_keys, layer.own_values = own
            layer.prompt_keys, layer.prompt_values = shared
            layer.keys, layer.values = shared
            layer.dtype, layer.device, layer.is_initialized = own[0].dtype, device, True
            self.cache.layers.append(layer)

    def begin(self, batch: RunningRows, cache: SharedCache) -> None:
        """Note which prompts newly seated rows continue; others stand at an empty last prompt."""
        places, padding = self._sharing.places, self._sharing.padding
        assert places is not None
        assert padding is not None
        num, sharing = len(batch.own), batch.sharing
        device = places.device
        at = torch.arange(num, device=device) if sharing.places is None else sharing.places
        owner, rank = at // sharing.per_prompt, at % sharing.per_prompt
        places.fill_((self._shape.prompts - 1) * self._shape.per_prompt)
        places[:num] = owner * self._shape.per_prompt + rank
        padding.fill_(torch.finfo(padding.dtype).min)
        first = cache.layers[0]
        assert isinstance(first, SharedLayer)
        length = first.prompt_keys.shape[2]
        shown = padding[: sharing.num_prompts, ..., self._store.length - length :]
        shown.zero_()
        if sharing.padding is not None:
            shown.copy_(sharing.padding)
        self._ids.zero_()
        self._position.zero_()
        self._count.zero_()

    def holds(self, cache: SharedCache) -> bool:
        """Whether this is still that cache's step: another engine may have begun since."""
        return self._store.holds(cache)

    def read(self, batch: RunningRows, new_ids: torch.Tensor) -> torch.Tensor:
        """The states of the rows after their next token, [B, D]. new_ids: [B]"""
        num = len(new_ids)
        self._ids[:num, 0] = new_ids
        self._position[:num, 0] = batch.position
        self._count[:num] = batch.own
        columns = torch.arange(self._store.room, device=new_ids.device)
        visible = columns <= self._count[:, None]
        self._mask.copy_(additive(visible, self._mask.dtype)[:, None, None])
        states = self._run(self._model, self._ids, self._position, self.cache)
        return states[:num].clone()  # the next replay writes over them


def compiled_decoder(model: Any) -> FixedDecoder:
    """Steps that are compiled when they are first run.

    Raises ValueError for a family that has none, and on a CPU without a C++ compiler.
    """
    if model.device.type == "cpu" and not any(shutil.which(name) for name in COMPILERS):
        raise ValueError(
            "policy.compile_decode must be false without a C++ compiler "
            f"({', '.join(COMPILERS)}); got true"
        )
    return FixedDecoder(model)


def check_fixed(model: Any) -> None:
    """ValueError for a model whose rows attend to pictures beside their ids."""
    text = model.config.get_text_config()
    if getattr(text, "cross_attention_layers", None):
        raise ValueError(
            f"policy.compile_decode must be false for a {model.config.model_type} policy, which "
            "attends to pictures beside its ids; got true"
        )


def _states(model: Any, ids: torch.Tensor, position: torch.Tensor, cache: Any) -> torch.Tensor:
    """What is compiled: one token of every row. Returns [B, D]."""
    return hidden_states(model, ids, position_ids=position, cache=cache)[:, -1]


def _shape(batch: RunningRows) -> Shape:
    rows = next_power(len(batch.own))
    spare = int(rows > len(batch.own))  # a prompt for rows that are not there
    return Shape(
        rows=rows,
        prompts=next_power(batch.sharing.num_prompts + spare),
        per_prompt=next_power(batch.sharing.per_prompt),
    )


def next_power(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()


def whole_columns(count: int) -> int:
    """The next multiple of COLUMNS."""
    return max(COLUMNS, -(-count // COLUMNS) * COLUMNS)
