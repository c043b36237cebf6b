"""Tiny policies shared by the agents' tests; built once, used read-only."""

from collections.abc import Mapping

import pytest
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from tinies import SEEING, tiny


@pytest.fixture(scope="session")
def text_policy(policies: Mapping[Family, Policy]) -> Policy:
    return policies[Family.text]


@pytest.fixture(scope="session")
def vision_policy(policies: Mapping[Family, Policy]) -> Policy:
    return policies[Family.mllama]


@pytest.fixture(scope="session")
def qwen_policy(policies: Mapping[Family, Policy]) -> Policy:
    return policies[Family.qwen_vl]


@pytest.fixture(scope="session")
def policies() -> Mapping[Family, Policy]:
    """One of each family."""
    return {family: tiny(family) for family in Family}


@pytest.fixture(params=list(Family))
def policy(request: pytest.FixtureRequest, policies: Mapping[Family, Policy]) -> Policy:
    return policies[request.param]


@pytest.fixture(params=SEEING)
def seeing_policy(request: pytest.FixtureRequest, policies: Mapping[Family, Policy]) -> Policy:
    return policies[request.param]
