"""What a checkpoint may forget, and `resume_invariants.py` must notice.

As in `planted_bugs.py`, each names the invariant that it breaks and what stands in for what.
"""

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import resume_invariants as of_resuming
from cardinal_gym.agents import rollout
from cardinal_gym.training import grpo_rollout, loop, policy_gradient, saving, supervised
from cardinal_gym.training.grpo_update import Measured
from cardinal_gym.training.metrics import Ledger, MetricsLog
from cardinal_gym.training.rng import capture_rng
from planted_bugs import Bug

UNPACK, RESTORE = policy_gradient.unpack_rollout, saving.restore_rng
KEPT, PUT_BACK = policy_gradient._kept_in_checkpoints, saving._put_back
RATE, PLAY = loop.TrainState.learning_rate, grpo_rollout.GroupSampler.play
IMITATE = supervised.SupervisedStage.update


def _all_but(kind: str, state: Any) -> None:
    """Random states come back, save those of one kind."""
    RESTORE({**state, kind: capture_rng()[kind]})


def _count_here(thing: Any) -> int:
    """How often this was asked of a thing that lives as long as its process."""
    thing.times_asked = getattr(thing, "times_asked", -1) + 1
    return int(thing.times_asked)


def _seeded_once(run: Any) -> None:
    """An environment is seeded as it is made and goes on with its own stream."""
    fresh = not hasattr(run.env.unwrapped, "is_seeded")
    run.env.unwrapped.is_seeded = True
    observed, run.info = run.env.reset(seed=run.seed if fresh else None)
    run.observation = rollout.Observation(**observed)


def _done_again(saved: Any, workers: Any) -> Any:
    found = UNPACK(saved, workers)
    found.num_done = 0
    return found


def _unmeasured(saved: Any, workers: Any) -> Any:
    found = UNPACK(saved, workers)
    found.batch = replace(found.batch, measured=Measured())
    return found


RESUME_BUGS: tuple[Bug, ...] = (
    Bug(
        "the optimizer begins anew",
        of_resuming.a_resumed_run_is_the_uninterrupted_one, saving, "split_moments",
        lambda saved, parameters: {**saved, "state": {}},
    ),
    *(
        Bug(
            f"random states of {kind} are not restored",
            of_resuming.a_resumed_run_is_the_uninterrupted_one, saving, "restore_rng",
            functools.partial(_all_but, kind),
        )
        for kind in ("python", "numpy", "torch")
    ),
    Bug(
        "what was spent is forgotten",
        of_resuming.a_resumed_run_is_the_uninterrupted_one, saving.Ledger, "from_dict",
        classmethod(lambda cls, counts, cpu_s: Ledger(num_parameters=counts["num_parameters"])),
    ),
    Bug(
        "a resumed step makes all its updates again",
        of_resuming.a_resumed_step_makes_the_updates_that_are_left, policy_gradient,
        "unpack_rollout", _done_again,
    ),
    Bug(
        "the numbers that updates hold fixed are lost",
        of_resuming.a_resumed_step_makes_the_updates_that_are_left, policy_gradient,
        "unpack_rollout", _unmeasured,
    ),
    Bug(
        "a reference that has moved is not saved",
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one, policy_gradient,
        "_kept_in_checkpoints",
        lambda models, config: KEPT(models, replace(config, reference_every=None)),
    ),
    Bug(
        "what is trained beside the policy is saved and not put back",
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one, saving, "_put_back",
        lambda stage, state, saved: PUT_BACK(SimpleNamespace(head=None), state, saved),
    ),
    Bug(
        "the schedule of the learning rate begins anew",
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one, loop.TrainState,
        "learning_rate",
        lambda state: RATE(replace(state, step=_count_here(state.optimizer))),
    ),
    Bug(
        "tasks are counted from the start of the process",
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one, grpo_rollout.GroupSampler,
        "play",
        lambda sampler, state: PLAY(sampler, replace(state, step=_count_here(sampler.agent))),
    ),
    Bug(
        "demonstrations are counted from the start of the process",
        of_resuming.a_resumed_run_takes_up_its_data_where_it_was, supervised.SupervisedStage,
        "update", lambda stage, state: IMITATE(stage, replace(state, step=_count_here(stage))),
    ),
    Bug(
        "environments draw tasks from streams of their own",
        of_resuming.a_resumed_run_of_rollouts_is_the_uninterrupted_one, rollout._Run,
        "__post_init__", _seeded_once,
    ),
    Bug(
        "what was logged after the checkpoint stays",
        of_resuming.a_resumed_run_is_the_uninterrupted_one, MetricsLog, "truncate",
        lambda log, offset: None,
    ),
)  # fmt: skip
