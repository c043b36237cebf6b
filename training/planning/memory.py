"""Memory of one device, by part: what stays, what a rollout adds, what an update adds.

Weights, gradients and AdamW's two moments are exact. Activations are counted from what autograd
keeps for the backward pass of transformers' blocks with a fused attention (sdpa, flash): per token
and layer the inputs of every linear map, queries, keys, values, the gate, and both norms' inputs in
float32. With gradient checkpointing one block's are there at a time, and every block's input.
"""

from dataclasses import dataclass

from ...agents.fixed import next_power, whole_columns
from ...agents.scoring import MAX_LOGITS
from ..config import ExperimentConfig
from ..distributed_config import STAGES, Offload, Sharding
from .shape import Shape
from .sharing import Packing, packing
from .workload import Tower, Workload

GIB = 2**30
LOGIT_COPIES_TRAINING = 5  # float32: logits, scaled, banned, and two gradients
LOGIT_BYTES_DRAWING = 32  # per logit: two copies in float32, three steps of the CDF in float64
RESERVED = 0.06  # of a device: its context, the allocator's fragments


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one device.

    Always there: weights, optimizer, reference. In an update: gradients, activations, vision
    (activations of a tower that is trained), logits. In a rollout: kv_cache, prefill, drawing.
    Where weights are split over devices, gathered_*: what is put together to compute with.
    """

    weights: int
    gathered_update: int
    gathered_rollout: int
    optimizer: int
    reference: int
    gradients: int
    activations: int
    vision: int
    logits: int
    static_cache: int
    kv_cache: int
    prefill: int
    drawing: int

    @property
    def always(self) -> int:
        return self.weights + self.optimizer + self.reference + self.static_cache

    @property
    def update(self) -> int:
        """The most that an update holds."""
        computing = self.gradients + self.activations + self.vision + self.logits
        return self.always + self.gathered_update + computing

    @property
    def rollout(self) -> int:
        """The most that a rollout holds; prompts are read before tokens are drawn."""
        computing = self.kv_cache + max(self.prefill, self.drawing)
        return self.always + self.gathered_rollout + computing

    @property
    def peak(self) -> int:
        return max(self.update, self.rollout)


def memory(config: ExperimentConfig, shape: Shape, work: Workload, tower: Tower | None) -> Memory:
    """Of one device, at its fullest, in a step of GRPO."""
    shards = config.plan.num_devices if splits_weights(config) else 1
    width = shape.weight_bytes
    base = shape.parameters.total * width
    moved = shape.trained * (4 if shape.adapters else width)
    whole = base + shape.adapters * 4
    packed = packing(config, shape, work)
    sequences = max(1, config.grpo.optim.micro_batch_tokens // packed.width)
    devices = config.plan.num_devices
    rows = min(sequences * packed.rows, -(-work.rows // devices))
    tokens = int(rows * packed.tokens)
    masked = rows * (work.answer if work.row_per_turn else work.answer * work.turns)
    return Memory(
        weights=whole // shards,
        gathered_update=_gathered(config, shape, whole),
        gathered_rollout=whole if shards > 1 else 0,
        optimizer=_moments(config, shape, moved) + 4 * shape.tensors,
        reference=base // shards if config.grpo.kl_coef > 0 else 0,
        gradients=_gradients(config, shape, moved),
        activations=activations(shape, tokens, checkpointing=config.policy.gradient_checkpointing)
        + _laid_out(shape, work, packed, rows),
        vision=_pictures(config, shape, work, tower, rows),
        logits=min(masked * shape.vocab, MAX_LOGITS) * 4 * LOGIT_COPIES_TRAINING,
        static_cache=static_cache(shape, work, devices) if config.policy.compile_decode else 0,
        kv_cache=kv_cache(shape, work, devices, tower, own=not config.policy.compile_decode),
        prefill=_prefill(shape, work, devices, tower),
        drawing=rows_decoded(work, devices) * shape.vocab * LOGIT_BYTES_DRAWING,
    )


def _gathered(config: ExperimentConfig, shape: Shape, whole: int) -> int:
    """Weights that an update puts together: the blocks at hand, embedding and head; or all.

    Of the blocks there are two, as the next one comes while one computes, and one's gradients.
    """
    if not splits_weights(config):
        return 0
    if config.distributed.sharding is Sharding.zero2:
        return whole
    ends = shape.parameters.embedding + shape.parameters.head
    return (3 * shape.block + ends) * shape.weight_bytes


def splits(config: ExperimentConfig) -> bool:
    """Whether moments, if nothing else, are split over several devices."""
    return config.distributed.sharding is not Sharding.none and config.plan.num_devices > 1


def splits_weights(config: ExperimentConfig) -> bool:
    """Whether no device holds all weights between two computations."""
    return splits(config) and _zero_stage(config) not in (1, 2)


def _zero_stage(config: ExperimentConfig) -> int | None:
    """Of DeepSpeed; None: it is not used."""
    return STAGES.get(config.distributed.sharding) if splits(config) else None


def _num_parts(config: ExperimentConfig) -> int:
    return config.plan.num_devices if splits(config) else 1


def _gradients(config: ExperimentConfig, shape: Shape, moved: int) -> int:
    """Bytes, while the optimizer steps: in fp32 then, but for DeepSpeed's."""
    if _zero_stage(config) is None:
        moved = 4 * shape.trained
    return moved // (1 if _zero_stage(config) == 1 else _num_parts(config))


def _moments(config: ExperimentConfig, shape: Shape, moved: int) -> int:
    """Bytes of what AdamW keeps: two moments in fp32, and the weights if they have 16 bits."""
    if _zero_stage(config) is None:
        copies = 0 if moved == 4 * shape.trained else 1
        return (2 + copies) * 4 * shape.trained // _num_parts(config)
    on_device = config.distributed.offload is Offload.none
    return 3 * 4 * shape.trained // _num_parts(config) if on_device else 0


def _laid_out(shape: Shape, work: Workload, packed: Packing, rows: int) -> int:
    """Bytes that shared prompts take besides: the mask of blocks, and states row by row again."""
    if packed.rows == 1:
        return 0
    masks = -(-rows // packed.rows) * packed.width**2
    return (masks + rows * work.row_tokens * shape.hidden) * shape.weight_bytes


def activations(shape: Shape, tokens: int, *, checkpointing: bool) -> int:
    """Bytes that the language model's blocks keep of `tokens` tokens for the backward pass."""
    layers = shape.layers + shape.cross_layers
    block = tokens * block_bytes(shape)
    between = tokens * shape.hidden * shape.weight_bytes
    last_norm = tokens * shape.hidden * (4 + shape.weight_bytes)
    return last_norm + (layers * between + block if checkpointing else layers * block)


def block_bytes(shape: Shape) -> int:
    """Bytes that one block keeps of one token."""
    width, hidden = shape.weight_bytes, shape.hidden
    linear = 4 * shape.mlp + 2 * hidden  # gate, its activation, up, product; both blocks' inputs
    attention = 2 * shape.query + shape.key_value  # queries, output, keys and values
    norms = 2 * hidden * (4 + width)  # the input in float32, the output before its weight
    if shape.norms_queries:
        norms += (shape.query + shape.key_value // 2) * (4 + width)
    kept = width * (linear + attention) + norms + 4 * shape.heads
    if shape.adapters and width < 4:  # each adapter reads a float32 copy of its layer's input
        kept += 4 * (5 * hidden + shape.query + shape.mlp) - width * (2 * hidden + shape.mlp)
    return kept


def rows_decoded(work: Workload, devices: int) -> int:
    """Conversations in one device's cache at once."""
    return min(work.max_rows, -(-work.episodes // devices))


def kv_cache(
    shape: Shape, work: Workload, devices: int, tower: Tower | None, *, own: bool = True
) -> int:
    """Keys and values: of each distinct prompt once, of each row what it adds if `own` is true."""
    rows, prompts = rows_decoded(work, devices), _num_prompts(work, devices)
    tokens = prompts * min(work.prompt, work.row_tokens) + rows * _own_tokens(work) * own
    per_token = shape.layers * shape.key_value * shape.weight_bytes
    seen = 0
    if tower is not None and shape.cross_layers:
        seen = prompts * tower.patches * shape.cross_layers * shape.key_value * shape.weight_bytes
    return tokens * per_token + seen


def static_cache(shape: Shape, work: Workload, devices: int) -> int:
    """What `policy.compile_decode` keeps between rollouts too: rows and prompts, rounded up."""
    rows, prompts = (
        next_power(count) for count in (rows_decoded(work, devices), _num_prompts(work, devices))
    )
    tokens = prompts * whole_columns(min(work.prompt, work.row_tokens))
    tokens += rows * whole_columns(_own_tokens(work))
    return tokens * shape.layers * shape.key_value * shape.weight_bytes


def _num_prompts(work: Workload, devices: int) -> int:
    """Prompts that the rows of one device continue."""
    rows = rows_decoded(work, devices)
    return -(-rows // work.members) if not work.row_per_turn or work.turns == 1 else rows


def _own_tokens(work: Workload) -> int:
    """Of each row, beside its prompt."""
    return work.answer if work.row_per_turn else work.own_tokens


def _prefill(shape: Shape, work: Workload, devices: int, tower: Tower | None) -> int:
    """All new prompts are read in one pass: a block's intermediate values, and their mask."""
    prompts = -(-rows_decoded(work, devices) // work.members)
    tokens = prompts * work.prompt
    block = tokens * shape.weight_bytes * (4 * shape.hidden + 3 * shape.mlp)
    seen = 0 if tower is None else prompts * _tower_block(shape, tower)
    return max(block, seen)


def _pictures(
    config: ExperimentConfig, shape: Shape, work: Workload, tower: Tower | None, rows: int
) -> int:
    """What the pictures of a micro-batch keep: the tower's blocks if it is trained, else its view.

    Members of a group show the same pictures, which are encoded once.
    """
    if tower is None:
        return 0
    images = work.images if not work.row_per_turn else 1
    distinct = -(-rows // work.members) * images
    shown = rows * images * tower.patches * shape.weight_bytes
    features = shown * shape.hidden
    if shape.cross_layers:  # their keys and values, of every row
        again = config.policy.gradient_checkpointing
        features += shown * shape.key_value * (1 if again else shape.cross_layers)
    if config.policy.freeze_vision or shape.adapters:
        return features
    block = _tower_block(shape, tower)
    if config.policy.gradient_checkpointing:
        between = tower.patches * tower.width * shape.weight_bytes
        return features + distinct * (tower.layers * between + block)
    return features + distinct * tower.layers * block


def _tower_block(shape: Shape, tower: Tower) -> int:
    """Bytes that one block of the tower keeps of one picture."""
    return tower.patches * shape.weight_bytes * (8 * tower.width + 4 * tower.mlp)
