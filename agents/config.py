"""Settings of policies and of sampling. No torch here, so that `--help` and configs stay quick.

Dataclasses are OmegaConf-compatible (keyword-only, mutable, enums with lowercase members) and check
themselves: a bad value raises ValueError with "must be ...; got ...".
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath

from .api.config import ApiConfig, chat_url
from .types import ContextMode


class Family(str, Enum):
    """Kind of model, and how it takes its observations in; one file of `families/` each."""

    text = "text"  # Llama, Qwen2: no pictures
    qwen3 = "qwen3"  # Qwen3: no pictures
    mllama = "mllama"  # Llama-3.2-Vision: cross-attention to image tiles
    qwen_vl = "qwen_vl"  # Qwen2.5-VL: patches among the ids
    qwen3_vl = "qwen3_vl"  # Qwen3-VL: the same, deeper layers shown more of them
    idefics3 = "idefics3"  # SmolVLM, Idefics3: tiles among the ids
    llava_onevision = "llava_onevision"  # LLaVA-OneVision: one tile among the ids


class Dtype(str, Enum):
    """Number format of the weights; `auto` takes the checkpoint's own."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    auto = "auto"


class Vocabulary(str, Enum):
    """The words that the tokenizer of a policy built from scratch knows."""

    cards = "cards"  # General Points
    streets = "streets"  # street navigation
    street_tools = "street_tools"  # the same, with calls of the map
    thoughts = "thoughts"  # General Points, with a search told in words before the answer
    tools = "tools"  # the same, with calls of the calculator


@dataclass(kw_only=True, slots=True)
class BuildConfig:
    """Shape of a policy built from scratch, with random weights.

    vocabulary: of its word-level tokenizer; each game's compact prompts and answers have one.
    intermediate_size: width of the MLPs; None: three times `hidden_size`.
    vision_*, tile_size, max_tiles, patch_size: the vision tower; a picture is fitted into at most
        `max_tiles` square tiles of `tile_size` pixels (qwen_vl: into as many pixels).
    seed: of the weights.
    """

    family: Family = Family.text
    vocabulary: Vocabulary = Vocabulary.cards
    hidden_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    intermediate_size: int | None = None
    vision_hidden_size: int = 96
    vision_layers: int = 2
    tile_size: int = 56
    max_tiles: int = 2
    patch_size: int = 14
    max_position: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "hidden_size",
            "num_layers",
            "num_heads",
            "vision_hidden_size",
            "vision_layers",
            "tile_size",
            "max_tiles",
            "patch_size",
            "max_position",
        ):
            _require(getattr(self, name) >= 1, f"build.{name}", "at least 1", getattr(self, name))
        _require(
            self.hidden_size % (2 * self.num_heads) == 0,
            "build.hidden_size",
            f"a multiple of 2 x num_heads ({2 * self.num_heads})",
            self.hidden_size,
        )
        if self.family is Family.mllama:
            _require(
                self.num_layers >= 2, "build.num_layers", "at least 2 for mllama", self.num_layers
            )
        if self.family not in (Family.text, Family.qwen3):
            _require(
                self.tile_size % self.patch_size == 0,
                "build.tile_size",
                f"a multiple of patch_size ({self.patch_size})",
                self.tile_size,
            )
            _require(
                self.vision_hidden_size % 4 == 0,
                "build.vision_hidden_size",
                "a multiple of 4",
                self.vision_hidden_size,
            )
        if self.family is Family.idefics3:
            _require(
                self.tile_size % (2 * self.patch_size) == 0,
                "build.tile_size",
                f"a multiple of two patches ({2 * self.patch_size}) for idefics3",
                self.tile_size,
            )


def called(name: str, path: str | None, model: str | None) -> str:
    """`PolicyConfig.called`; of a run's own folders, .../seed_0/grpo/policy, two parts are told."""
    if path is None:
        return model or name
    parts = PurePath(path).parts or (path,)
    is_hub_name = len(parts) == 2 and not path.startswith(("/", ".", "~")) and parts[1] != "policy"
    return path if is_hub_name else "/".join(parts[-2 if parts[-1] == "policy" else -1 :])


LANGUAGE_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adapters on a pretrained policy, trained in the place of its weights (LoRA).

    rank: of every adapter; 0: none, all weights are trained.
    alpha: an adapter's output is scaled by alpha / rank.
    targets: linear layers of the language model that get one, by the end of their names.
    """

    rank: int = 0
    alpha: float = 32.0
    targets: list[str] = field(default_factory=lambda: list(LANGUAGE_LINEARS))

    def __post_init__(self) -> None:
        _require(self.rank >= 0, "policy.lora.rank", "at least 0", self.rank)
        _require(self.alpha > 0, "policy.lora.alpha", "greater than 0", self.alpha)
        _require(bool(self.targets), "policy.lora.targets", "one name or more", self.targets)


@dataclass(kw_only=True, slots=True)
class PolicyConfig:
    """Which policy, from where, on what.

    path: a Hugging Face folder or hub name, or a saved adapter's folder; wins over `build`.
    base_url, model: an OpenAI-compatible server and the model to ask it for, to measure only; `api`
        says how.
    build: shape of a policy to build when there is no `path`.
    attn_implementation: as transformers names it: sdpa, eager, flash_attention_2.
    device: auto, cpu, cuda, cuda:1, ...
    context: what the policy sees at later turns (see `ContextMode`).
    context_turns: turns that `context=last_k` shows, the present one included.
    max_context: longest prompt plus completion, in tokens; None: the model's own limit.
    max_images: most pictures in a prompt; None: any number. Where this or `max_context` is reached,
        `last_k` drops its oldest turns, and in `concat` the episode ends.
    max_image_tokens: most ids that one picture may take, where the family can shrink pictures;
        None: as the model's image processor is set.
    thinking: whether answers begin with thoughts, of a model whose chat template has the choice
        (Qwen3's `enable_thinking`); None: as the template has it.
    max_rows: conversations whose tokens are drawn at once, on each device; others wait until one is
        over. Fewer take less memory and more time.
    lora: train adapters in the place of the weights.
    freeze_vision: keep the vision tower and its projector as they are; a picture is then seen once.
    gradient_checkpointing: compute activations again in the backward pass: less memory, more time.
    compile: torch.compile for training, which pays in runs of many steps; sampling stays as it is.
    compile_decode: torch.compile for sampling, in steps of fixed shapes over a cache that stays;
        for GPUs, where a step is mostly launching.
    """

    name: str
    path: str | None = None
    base_url: str | None = None
    model: str | None = None
    build: BuildConfig | None = None
    dtype: Dtype = Dtype.float32
    attn_implementation: str = "sdpa"
    device: str = "auto"
    context: ContextMode = ContextMode.concat
    context_turns: int = 3
    max_context: int | None = None
    max_images: int | None = None
    max_image_tokens: int | None = None
    thinking: bool | None = None
    max_rows: int = 512
    lora: LoraConfig = field(default_factory=LoraConfig)
    freeze_vision: bool = False
    gradient_checkpointing: bool = False
    compile: bool = False
    compile_decode: bool = False
    api: ApiConfig = field(default_factory=ApiConfig)

    def __post_init__(self) -> None:
        for name in ("context_turns", "max_context", "max_images", "max_image_tokens"):
            limit = getattr(self, name)
            _require(limit is None or limit >= 1, f"policy.{name}", "at least 1 or null", limit)
        _require(self.max_rows >= 1, "policy.max_rows", "at least 1", self.max_rows)
        if self.compile:
            recomputed, rank = self.gradient_checkpointing, self.lora.rank
            wanted = "false with policy.compile"
            _require(not recomputed, "policy.gradient_checkpointing", wanted, recomputed)
            _require(rank == 0, "policy.lora.rank", "0 with policy.compile", rank)
            together = self.compile_decode
            _require(not together, "policy.compile_decode", wanted, together)
        if self.base_url is not None:
            chat_url(self.base_url)

    @property
    def called(self) -> str:
        """What a person would call it: its folder or hub name, its server's model, or its name."""
        return called(self.name, self.path, self.model)


@dataclass(kw_only=True, slots=True)
class SamplingConfig:
    """How completions are drawn.

    temperature: divides the logits; reported log-probabilities use it too.
    top_p, top_k: 1 and 0 are off. Training needs them off, or the sampled distribution is not the
        one that is trained.
    greedy: take the most probable token (log-probabilities are still reported at `temperature`).
    max_new_tokens: where an answer is cut.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    greedy: bool = False
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        _require(
            self.temperature > 0,
            "sampling.temperature",
            "greater than 0 (for argmax use greedy=true)",
            self.temperature,
        )
        _require(0 < self.top_p <= 1, "sampling.top_p", "in (0, 1]", self.top_p)
        _require(self.top_k >= 0, "sampling.top_k", "at least 0", self.top_k)
        _require(
            self.max_new_tokens >= 1, "sampling.max_new_tokens", "at least 1", self.max_new_tokens
        )


def _require(holds: bool, name: str, allowed: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {allowed}; got {value}")
