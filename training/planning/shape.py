"""What a plan must know of a model: counts and widths, from its configuration on the meta device.

No weights are loaded and nothing is downloaded: a named policy's configuration is kept with the
project (`agents/families/named`), a folder has its own, and a policy to build has its `build`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from ...agents.adapters import is_adapter, targets
from ...agents.config import Dtype, PolicyConfig
from ...agents.families import FAMILIES, family_of
from ...agents.families.pretrained import (
    Parameters,
    Pretrained,
    parameters_of,
    pretrained,
    pretrained_names,
    without_weights,
)
from ...agents.tokenizer import build_tokenizer

BYTES = {Dtype.float32: 4, Dtype.bfloat16: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A vision tower. patches: that its layers read of one picture, padding included."""

    layers: int
    width: int
    mlp: int
    patches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One model.

    parameters: by part; trained: what the optimizer moves, adapters included; adapters: of these.
    weight_bytes: of one parameter of the model; adapters have 4.
    layers: that attend to ids. cross_layers: that attend to pictures alone (Mllama).
    hidden, mlp, heads, kv_heads, head_dim: of one layer. vocab: rows of the head. norms_queries:
    and keys, as Qwen3 does.
    block: parameters of the largest repeated block. tensors: that the optimizer moves.
    """

    model_type: str
    parameters: Parameters
    trained: int
    adapters: int
    weight_bytes: int
    layers: int
    cross_layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    norms_queries: bool
    block: int
    tensors: int
    config: PreTrainedConfig
    processor: dict[str, Any] | None

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Width of keys and values of one token in one layer."""
        return 2 * self.kv_heads * self.head_dim

    @property
    def decoded(self) -> int:
        """Parameters that every decoded token passes: the layers and the head, tied or not."""
        return self.parameters.language + self.vocab * self.hidden


def shape_of(policy: PolicyConfig) -> Shape:
    """The shape of the policy that a configuration names.

    Raises ValueError for a policy whose configuration is not on this machine.
    """
    known = _known(policy)
    model = without_weights(known.config)
    text = known.config.get_text_config()
    cross = len(getattr(text, "cross_attention_layers", None) or ())
    heads = text.num_attention_heads
    adapters, adapter_tensors = _adapters(model, policy)
    trained, tensors = adapters, adapter_tensors
    if not policy.lora.rank:
        trained, tensors = _trained(model, policy)
    blocks = _blocks(model)
    return Shape(
        model_type=known.config.model_type,
        parameters=parameters_of(model),
        trained=trained,
        adapters=adapters,
        weight_bytes=_weight_bytes(policy, known.config),
        layers=text.num_hidden_layers - cross,
        cross_layers=cross,
        hidden=text.hidden_size,
        mlp=text.intermediate_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocab=model.get_output_embeddings().weight.shape[0],
        norms_queries=any(name.endswith("self_attn.q_norm") for name, _ in model.named_modules()),
        block=max(blocks),
        tensors=tensors,
        config=known.config,
        processor=known.processor,
    )


def _known(policy: PolicyConfig) -> Pretrained:
    """The configurations of model and image processor, wherever they are."""
    if policy.path is None and policy.build is None:
        raise ValueError(f"policy must have weights to plan for; {policy.name!r} has none")
    if policy.path is None:
        assert policy.build is not None
        family = FAMILIES[policy.build.family]
        tokenizer = build_tokenizer(
            policy.build.max_position, policy.build.vocabulary, family.special_tokens(policy.build)
        )
        settings = None if family.tiny_processor is None else family.tiny_processor(policy.build)
        return Pretrained("", 0, family.shape(policy.build, tokenizer), settings)
    for name in pretrained_names():
        known = pretrained(name)
        if policy.path == known.hub:
            return known
    folder = Path(policy.path).expanduser()
    if (folder / "config.json").is_file() and not is_adapter(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        return Pretrained(str(folder), 0, config, None)
    raise ValueError(
        "policy.path must be a policy whose shape is kept here "
        f"({', '.join(pretrained_names())}), or a folder with a config.json; got {policy.path}"
    )


def _adapters(model: Any, policy: PolicyConfig) -> tuple[int, int]:
    """Parameters and tensors of the low-rank adapters: r (in + out) per adapted layer."""
    if not policy.lora.rank:
        return 0, 0
    layers = [model.get_submodule(name) for name in targets(model, policy.lora)]
    widths = sum(layer.in_features + layer.out_features for layer in layers)
    return policy.lora.rank * widths, 2 * len(layers)


def _trained(model: Any, policy: PolicyConfig) -> tuple[int, int]:
    """Parameters and tensors that move when there are no adapters."""
    moved = list(model.parameters())
    if policy.freeze_vision:
        seeing = seeing_parameters(model)
        moved = [parameter for parameter in moved if id(parameter) not in seeing]
    return sum(parameter.numel() for parameter in moved), len(moved)


def seeing_parameters(model: Any) -> set[int]:
    """Ids of the parameters of the vision tower and its projector."""
    decoder = {id(p) for p in model.get_decoder().parameters()}
    head = {id(p) for p in model.get_output_embeddings().parameters()}
    return {id(p) for p in model.parameters()} - decoder - head


def _blocks(model: Any) -> list[int]:
    """Parameters of each repeated block."""
    names = family_of(model.config.model_type).blocks
    return [
        sum(parameter.numel() for parameter in module.parameters())
        for module in model.modules()
        if type(module).__name__ in names
    ]


def _weight_bytes(policy: PolicyConfig, config: PreTrainedConfig) -> int:
    if policy.dtype is not Dtype.auto:
        return BYTES[policy.dtype]
    told = str(getattr(config, "dtype", None) or "bfloat16").removeprefix("torch.")
    return 4 if told == "float32" else 2
