"""Who is measured: a checkpoint or hub model, a baseline, a person, or a model behind a server."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..agents.api.agent import ApiAgent
from ..agents.api.client import ApiClient, ServerError
from ..agents.baselines import OracleAgent, RandomAgent
from ..agents.config import PolicyConfig, SamplingConfig
from ..agents.policy import load_policy
from ..agents.policy_agent import PolicyAgent
from ..agents.types import Agent
from .config import EvaluateConfig, ExperimentConfig, MetricKind
from .evaluate import MakeAgent
from .failures import Failed
from .human import HumanAgent, HumanReporter
from .progress import ProgressReporter

API, HUMAN = "api", "human"
BASELINES: dict[str, type[RandomAgent | OracleAgent]] = {
    "random": RandomAgent,
    "oracle": OracleAgent,
}
USAGE_FILE = "api_usage.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """make_agent: for the sampling of a metric. client: of a server, whose usage is to be told."""

    make_agent: MakeAgent
    num_parameters: int = 0
    reporter: type[ProgressReporter] = ProgressReporter
    client: ApiClient | None = None

    def tell_usage(self, folder: Path) -> None:
        """Print what a server's answers took and cost, and add a line to the run folder."""
        if self.client is None:
            return
        sys.stdout.write(f"\n{self.client.model}: {self.client.usage}\n")
        record = {
            "url": self.client.url,
            "model": self.client.model,
            **self.client.usage.asdict(),
        }
        with (folder / USAGE_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _refuse(_: SamplingConfig) -> Agent:
    raise AssertionError("everything has been played, and yet somebody is asked")


NOBODY = Measured(make_agent=_refuse)  # whose results are all there, so that nothing is loaded


def check_named(policy: PolicyConfig) -> None:
    """Raises ValueError for a policy that names nobody, or two."""
    if is_api(policy):
        _check_server(policy)
    elif policy.path is None and policy.name not in (*BASELINES, HUMAN):
        raise ValueError(
            "policy.path must name a checkpoint folder or a hub model to evaluate (or choose "
            f"policy=random, oracle, human or api); got none for {policy.name}"
        )


def is_api(policy: PolicyConfig) -> bool:
    return policy.name == API or policy.base_url is not None or policy.model is not None


def fitted(config: ExperimentConfig) -> ExperimentConfig:
    """What suits who is measured: a person sees no hand twice and may leave after any.

    Whoever has no weights needs no shape either, of which an experiment may have set a part.
    """
    if config.policy.path is not None or config.policy.name not in (*BASELINES, HUMAN, API):
        return config
    config = replace(config, policy=replace(config.policy, build=None))
    if config.policy.name != HUMAN:
        return config
    chosen: EvaluateConfig = config.evaluate
    metrics: list[MetricKind] = list(chosen.metrics)
    if MetricKind.greedy_single in metrics:
        metrics.remove(MetricKind.greedy_single)
    if not metrics:
        raise ValueError(
            "evaluate.metrics must name one that a person can be measured with, "
            f"{MetricKind.success_within_turns.value} or {MetricKind.sampled_single.value}; "
            f"got {MetricKind.greedy_single.value} alone"
        )
    return replace(config, evaluate=replace(chosen, metrics=metrics, batch_episodes=1, samples=1))


@contextmanager
def measured(policy_config: PolicyConfig) -> Iterator[Measured]:
    """Load or connect; `Failed`, in one line, where a server gives up inside."""
    if is_api(policy_config):
        with _served(policy_config) as served:
            yield served
        return
    if policy_config.path is None and policy_config.name == HUMAN:
        person = HumanAgent()
        yield Measured(make_agent=lambda _: person, reporter=HumanReporter)
        return
    if policy_config.path is None:
        baseline = BASELINES[policy_config.name]
        yield Measured(make_agent=lambda _: baseline())
        return
    policy = load_policy(policy_config)
    yield Measured(
        make_agent=lambda sampling: PolicyAgent(policy, sampling),
        num_parameters=policy.num_parameters,
    )


@contextmanager
def _served(policy: PolicyConfig) -> Iterator[Measured]:
    assert policy.base_url is not None
    assert policy.model is not None
    client = ApiClient(policy.base_url, policy.model, policy.api)
    problem = ""
    try:
        yield Measured(
            make_agent=lambda sampling: ApiAgent(
                client, sampling, context=policy.context, context_turns=policy.context_turns
            ),
            client=client,
        )
    except ServerError as error:
        problem = str(error)
    finally:
        client.close()
    if problem:  # raised out here, so that no frame of the request is behind it
        raise Failed(problem)


def _check_server(policy: PolicyConfig) -> None:
    if policy.path is not None:
        raise ValueError(
            "policy.path must be null where policy.base_url names a server; "
            f"got {policy.path} as well"
        )
    for name, example in (("base_url", "http://localhost:8000/v1"), ("model", "gpt-5-mini")):
        if getattr(policy, name) is None:
            raise ValueError(
                f"policy.{name} must be given for a policy behind a server, as in "
                f"policy.{name}={example}; got none"
            )
    for name in ("max_context", "max_images", "max_image_tokens", "thinking"):
        if getattr(policy, name) is not None:
            raise ValueError(
                f"policy.{name} must be null for a policy behind a server, which keeps its own "
                f"limits and chat template; got {getattr(policy, name)}"
            )
