"""ZeRO by DeepSpeed over two real processes: the same updates, checkpoints that anybody resumes."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.config import Family, PolicyConfig
from cardinal_gym.agents.policy import load_policy
from cardinal_gym.agents.scoring import hidden_states
from cardinal_gym.training import deepspeed_zero
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import BudgetConfig, GrpoConfig
from cardinal_gym.training.deepspeed_zero import check_deepspeed, check_policy
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.distributed_config import DistributedConfig, Offload, Sharding
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.sharding import computing, gathered
from cardinal_gym.training.supervised import SupervisedStage
from cardinal_gym.training.whole_tensors import save_policy
from toys import (
    bandit,
    experiment,
    grpo_config,
    grpo_stage,
    optim,
    run_steps,
    tiny_policy,
    weights,
)
from two_processes import in_processes

pytestmark = pytest.mark.timeout(900)  # one fixture does all the work of two processes

CRITIC: dict[str, Any] = {"advantage": AdvantageKind.gae, "credit": Credit.turn_return}
STAGES = [Sharding.deepspeed_zero1, Sharding.deepspeed_zero2, Sharding.deepspeed_zero3]
OFFLOADED = [(STAGES[1], Offload.optimizer), (STAGES[2], Offload.weights)]

has_deepspeed = importlib.util.find_spec("deepspeed") is not None
slow = pytest.mark.slow  # they start processes
needs_deepspeed = pytest.mark.skipif(
    not has_deepspeed, reason="DeepSpeed is missing: pip install 'cardinal-gym[deepspeed]'"
)


def config(steps: int, **algorithm: Any) -> GrpoConfig:
    """Two updates a step, several micro-batches each, with a clipped gradient."""
    small = optim(1e-3, micro_batch_tokens=60, max_grad_norm=0.05)
    return grpo_config(steps, **algorithm, groups_per_step=3, group_size=4, epochs=2, optim=small)


def stage_of(
    steps: int, distributed: DistributedConfig, dtype: torch.dtype = torch.float32
) -> tuple[Stage, TrainState]:
    deepspeed_zero.MAX_KEPT = 0  # stage 3 splits small weights as well
    policy = tiny_policy()
    policy.model.to(dtype)
    algorithm = CRITIC if dtype is torch.float32 else {}
    stage, state = grpo_stage(policy, bandit, config(steps, **algorithm))
    state.hand_over(stage, distributed)
    return stage, state


def whole_weights_of(state: TrainState) -> torch.Tensor:
    with gathered(state.policy):
        return weights(state.policy)


def steps_taken(workers: Workers, distributed: DistributedConfig) -> dict[str, Any]:
    stage, state = stage_of(2, distributed)
    metrics = run_steps(stage, state, 2)
    return {"metrics": metrics, "weights": whole_weights_of(state)}


def trained(
    workers: Workers,
    folder: Path,
    distributed: DistributedConfig,
    stop_after: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Train for four steps, resuming what is there; the weights in the end."""
    stage, state = stage_of(4, distributed, dtype)
    if stop_after is not None:
        state.budget = BudgetConfig(steps=stop_after)
    train(stage, state, folder, checkpoint_every=1, keep_checkpoints=2)
    return whole_weights_of(state)


def refusals(
    workers: Workers, distributed: DistributedConfig, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """A gradient and a loss that are not finite, each in one process alone."""
    _, state = stage_of(2, distributed, dtype)
    before, found = whole_weights_of(state), {}
    ids, model = torch.tensor([[5, 6, 7]]), state.policy.model
    for kind in ("gradient", "loss"):
        small = computing(state.policy, lambda: hidden_states(model, ids).sum())
        worse = math.nan if kind == "gradient" and workers.rank == 1 else 1.0
        state.backward(small * worse)
        found[kind] = state.apply_gradients(math.inf if kind == "loss" and workers.is_main else 0.0)
        found[f"unchanged by {kind}"] = torch.equal(whole_weights_of(state), before)
    return found


def pictures(distributed: DistributedConfig) -> dict[str, torch.Tensor]:
    """Weights after a step of SFT on pictures, with unequal shares."""
    found = {}
    env = experiment("env=gp_image", "env.visual.width=56", "env.visual.height=56").env
    small = optim(1e-3, micro_batch_tokens=200)
    for family in (Family.mllama, Family.qwen_vl):
        policy = tiny_policy(family, spread=2.0)
        shown = OracleDemonstrations(
            policy, env, stream="warmup", seed=0, revision_fraction=0.0, max_wrong_attempts=1
        )
        budget = BudgetConfig(steps=1)
        stage = SupervisedStage("sft", shown, batch_size=3, budget=budget, optim=small)
        state = TrainState.create(policy, small, budget, Workers("cpu"))
        state.hand_over(stage, distributed)
        run_steps(stage, state, 1)
        found[family.value] = whole_weights_of(state)
    return found


def in_16_bits(workers: Workers, root: Path, distributed: DistributedConfig) -> dict[str, Any]:
    """What stops and goes on, and what goes through; AdamW moves weights in fp32."""
    dtype, folder = torch.bfloat16, root / f"16 bits of {distributed.sharding.value}"
    whole = trained(workers, folder / "whole", distributed, dtype=dtype)
    trained(workers, folder / "half", distributed, stop_after=2, dtype=dtype)
    half = trained(workers, folder / "half", distributed, dtype=dtype)
    return {"whole": whole, "half": half, "refusals": refusals(workers, distributed, dtype)}


def all_at_once(workers: Workers, folder: str) -> dict[str, Any]:
    """One start of the processes for all tests: starting them is what costs."""
    root, found = Path(folder), {}
    for sharding in STAGES:
        distributed = DistributedConfig(sharding=sharding)
        found[f"steps of {sharding.value}"] = steps_taken(workers, distributed)
        found[f"refusals of {sharding.value}"] = refusals(workers, distributed)
        half = root / sharding.value
        found[f"whole run of {sharding.value}"] = trained(
            workers, root / "whole" / sharding.value, distributed
        )
        found[f"first half of {sharding.value}"] = trained(workers, half, distributed, stop_after=2)
        found[f"second half of {sharding.value}"] = trained(workers, half, distributed)
        trained(workers, root / f"for one by {sharding.value}", distributed, stop_after=2)
    for sharding, offload in OFFLOADED:
        offloaded = DistributedConfig(sharding=sharding, offload=offload)
        found[f"offloaded by {sharding.value}"] = steps_taken(workers, offloaded)
    for sharding in STAGES[1:]:
        distributed = DistributedConfig(sharding=sharding)
        found[f"pictures of {sharding.value}"] = pictures(distributed)
        found[f"16 bits of {sharding.value}"] = in_16_bits(workers, root, distributed)
    _, state = stage_of(2, distributed)
    save_policy(state.policy, root / "policy", workers)
    found["saved"] = whole_weights_of(state)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deepspeed")


@pytest.fixture(scope="module")
def by_two(folder: Path) -> list[dict[str, Any]]:
    return in_processes(all_at_once, folder, str(folder))


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_updates_and_metrics_equal_those_of_one_process(
    stage: Sharding, by_two: list[dict[str, Any]]
) -> None:
    wanted = steps_taken(Workers("cpu"), DistributedConfig())
    for found in (each[f"steps of {stage.value}"] for each in by_two):
        torch.testing.assert_close(found["weights"], wanted["weights"], rtol=1e-4, atol=2e-6)
        for mine, one in zip(found["metrics"], wanted["metrics"], strict=True):
            steady = [name for name in one if not name.startswith(("time/", "memory/"))]
            assert mine["grad_norm"] > config(1).optim.max_grad_norm  # it was clipped
            assert {name: mine[name] for name in steady} == pytest.approx(
                {name: one[name] for name in steady}, rel=1e-4, abs=1e-6
            )


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES[1:])
def test_rows_with_pictures_train_alike(stage: Sharding, by_two: list[dict[str, Any]]) -> None:
    for family, wanted in pictures(DistributedConfig()).items():
        found = by_two[0][f"pictures of {stage.value}"][family]
        # Adam makes steps of 1e-3 of gradients that are all rounding.
        assert ((found - wanted).abs() > 5e-5).float().mean() < 1e-3
        assert (found - wanted).abs().max() < 2.1e-3


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_not_finite_in_one_process_is_skipped_by_all(
    stage: Sharding, by_two: list[dict[str, Any]]
) -> None:
    for found in (each[f"refusals of {stage.value}"] for each in by_two):
        for kind in ("gradient", "loss"):
            assert found[kind]["updates/skipped"] == 1.0
            assert found[f"unchanged by {kind}"]


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_resumes_bit_for_bit(stage: Sharding, by_two: list[dict[str, Any]]) -> None:
    for found in by_two:
        whole = found[f"whole run of {stage.value}"]
        assert not torch.equal(found[f"first half of {stage.value}"], whole)
        assert torch.equal(found[f"second half of {stage.value}"], whole)


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_one_process_without_deepspeed_goes_on_where_two_stopped(
    stage: Sharding, by_two: list[dict[str, Any]], folder: Path
) -> None:
    place = folder / f"for one by {stage.value}"
    found = trained(Workers("cpu"), place, DistributedConfig())
    wanted = by_two[0][f"whole run of {stage.value}"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)


@slow
@needs_deepspeed
def test_two_processes_go_on_where_one_without_deepspeed_stopped(
    by_two: list[dict[str, Any]], tmp_path: Path
) -> None:
    ranks, place = tmp_path / "ranks", tmp_path / "one"
    ranks.mkdir()
    trained(Workers("cpu"), place, DistributedConfig(), stop_after=2)
    found = in_processes(trained, ranks, place, DistributedConfig(sharding=STAGES[2]))
    wanted = by_two[0][f"whole run of {STAGES[2].value}"]
    torch.testing.assert_close(found[0], wanted, rtol=1e-4, atol=2e-6)


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", [stage for stage, _ in OFFLOADED])
def test_what_is_in_the_hosts_memory_makes_no_difference(
    stage: Sharding, by_two: list[dict[str, Any]]
) -> None:
    wanted = by_two[0][f"steps of {stage.value}"]["weights"]
    found = by_two[0][f"offloaded by {stage.value}"]["weights"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)


@slow
@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES[1:])
def test_bfloat16_resumes_bit_for_bit_and_skips(
    stage: Sharding, by_two: list[dict[str, Any]]
) -> None:
    for found in (each[f"16 bits of {stage.value}"] for each in by_two):
        assert found["whole"].dtype is torch.bfloat16
        assert torch.equal(found["half"], found["whole"])
        for kind in ("gradient", "loss"):
            assert found["refusals"][kind]["updates/skipped"] == 1.0
            assert found["refusals"][f"unchanged by {kind}"]


@slow
@needs_deepspeed
def test_a_split_policy_is_saved_whole(by_two: list[dict[str, Any]], folder: Path) -> None:
    loaded = load_policy(PolicyConfig(name="saved", path=str(folder / "policy"), device="cpu"))
    assert torch.equal(weights(loaded), by_two[0]["saved"])


def test_without_deepspeed_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_deepspeed(Sharding.fsdp2)
    with pytest.raises(ValueError, match=r"deepspeed_zero2 needs DeepSpeed: pip install .*\[deep"):
        check_deepspeed(Sharding.deepspeed_zero2)


def test_weights_of_two_dtypes_are_refused() -> None:
    policy, head = tiny_policy(), torch.nn.Linear(2, 1)
    check_policy(policy, STAGES[1], head)
    policy.model.to(torch.bfloat16)
    check_policy(policy, STAGES[1])
    with pytest.raises(ValueError, match=r"of one dtype; got bfloat16 and float32 \(critics"):
        check_policy(policy, STAGES[1], head)


def test_a_frozen_tower_is_refused_by_stage_3() -> None:
    policy = tiny_policy(Family.qwen_vl)
    check_policy(policy, STAGES[2])
    policy.freeze_vision()
    check_policy(policy, STAGES[1])
    with pytest.raises(ValueError, match=r"must not be deepspeed_zero3 with a frozen vision tower"):
        check_policy(policy, STAGES[2])


@pytest.mark.parametrize(
    ("sharding", "offload"),
    [
        (Sharding.none, Offload.optimizer),
        (Sharding.fsdp2, Offload.optimizer),
        (Sharding.deepspeed_zero2, Offload.weights),
    ],
)
def test_only_deepspeed_offloads(sharding: Sharding, offload: Offload) -> None:
    with pytest.raises(ValueError, match=rf"offload must be none .*; got {offload.value} with"):
        DistributedConfig(sharding=sharding, offload=offload)
    DistributedConfig(sharding=Sharding.deepspeed_zero3, offload=offload)
