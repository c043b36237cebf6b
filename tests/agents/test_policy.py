"""Policies are built, saved and loaded alike, and a name that cannot be had is one clear line."""

from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import (
    BuildConfig,
    Dtype,
    Family,
    PolicyConfig,
    SamplingConfig,
)
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from tinies import tiny
from toy import observation, picture, streams
from transformers import AutoModelForImageTextToText, AutoTokenizer


def load(path: str | Path) -> Policy:
    return load_policy(PolicyConfig(name="loaded", path=str(path), device="cpu"))


@pytest.mark.parametrize("family", list(Family))
def test_a_saved_policy_loads_as_the_same_policy(family: Family, tmp_path: Path) -> None:
    policy = tiny(family)
    policy.save(tmp_path)
    again = load(tmp_path)
    assert (again.family, again.end_ids, again.banned_ids) == (
        policy.family, policy.end_ids, policy.banned_ids,
    )  # fmt: skip
    for (name, one), other in zip(
        policy.model.state_dict().items(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    image = None if policy.vision is None else picture(0)
    seen = observation("target 24 cards 5 J", image)
    answers = [
        generate(p, [encode_first(p, seen)], streams(1), SamplingConfig(max_new_tokens=9))
        for p in (policy, again)
    ]
    assert answers[0] == answers[1]


def test_the_auto_classes_load_a_saved_vision_policy(tmp_path: Path) -> None:
    tiny(Family.mllama).save(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(model).__name__ == "MllamaForConditionalGeneration"
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template


def test_the_default_shapes_have_about_a_million_parameters() -> None:
    for family in Family:
        policy = load_policy(PolicyConfig(name="tiny", build=BuildConfig(family=family)))
        assert 0.7e6 < policy.num_parameters < 3e6


def test_building_is_reproducible_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one, other, third = (tiny(Family.mllama, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), wanted)
    weights = [p.model.get_input_embeddings().weight for p in (one, other, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_policy_can_be_built_in_bfloat16() -> None:
    config = PolicyConfig(name="half", build=BuildConfig(), dtype=Dtype.bfloat16, device="cpu")
    assert load_policy(config).model.dtype is torch.bfloat16


def test_image_features_are_the_projected_patches(vision_policy: Policy) -> None:
    features = vision_policy.image_features([picture(0), picture(1), picture(0)])
    assert features.shape == (3, 2 * (2 * 2 + 1), 32)
    torch.testing.assert_close(features[0], features[2])
    assert features.requires_grad
    assert not torch.allclose(features[0], features[1])


def test_a_text_policy_has_no_image_features(text_policy: Policy) -> None:
    with pytest.raises(ValueError, match="family text has no image features"):
        text_policy.image_features([picture(0)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 3}, "build.hidden_size must be a multiple of 2 x num_heads .6.; got 128"),
        ({"family": Family.mllama, "tile_size": 50}, "build.tile_size must be a multiple"),
        ({"num_layers": 0}, "build.num_layers must be at least 1; got 0"),
    ],
)
def test_a_bad_shape_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BuildConfig(**settings)


def test_a_policy_needs_a_path_or_a_build() -> None:
    with pytest.raises(ValueError, match="'nobody' must have a path or a build"):
        load_policy(PolicyConfig(name="nobody"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{folder}", "must contain config.json"),
        ("{folder}/missing", "policy folder must exist"),
        ("./missing", "policy folder must exist"),
        ("a b", "must be a folder or a hub name; got 'a b'"),
    ],
)
def test_a_folder_without_a_model_is_one_line(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(path.format(folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unknown_model_class_names_those_that_are_supported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match=r"one of llama, .*, mllama, .*; got gpt2"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (ConnectionError("no route"), "huggingface.co cannot be reached"),
    ],
)
def test_a_hub_name_without_a_connection_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def refuse(name: str) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "auth_check", refuse)
    with pytest.raises(ValueError, match=message) as caught:
        load("someone/some-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "is gated: accept its licence"),
        ("RepositoryNotFoundError", "was not found"),
        ("HfHubHTTPError", "the hub answered with status 503"),
    ],
)
def test_gated_and_missing_hub_models_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    class Response:
        status_code, headers, request, text = 503, {}, None, ""

    def refuse(name: str) -> None:
        failure: type[HfHubHTTPError] = getattr(huggingface_hub.errors, kind)
        raise failure("refused", response=Response())

    monkeypatch.setattr(huggingface_hub, "auth_check", refuse)
    with pytest.raises(ValueError, match=message):
        load("someone/some-model")


def test_how_many_conversations_are_held_at_once_is_the_policys() -> None:
    build = BuildConfig(hidden_size=16, num_layers=2, num_heads=2)
    config = PolicyConfig(name="tiny", build=build, device="cpu", max_rows=3)
    policy = load_policy(config)
    assert PolicyAgent(policy, SamplingConfig()).max_rows == policy.max_rows == 3
    with pytest.raises(ValueError, match=r"policy.max_rows must be at least 1; got 0"):
        replace(config, max_rows=0)
