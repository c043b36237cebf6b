"""Steps of fixed shapes draw what others draw, and are compiled once for each shape."""

import gc
import shutil
import weakref
from pathlib import Path

import pytest
from cardinal_gym.agents import fixed
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.compiled import COMPILERS
from cardinal_gym.agents.config import Family, PolicyConfig, SamplingConfig
from cardinal_gym.agents.engine import Engine
from cardinal_gym.agents.fixed import FixedDecoder, compiled_decoder
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import Completion, StreamKey
from tinies import tiny
from torch._dynamo.testing import CompileCounter
from toy import observation, picture, streams

TEXTS = ("target 24 cards 5 J", "rule J = 10 target 24 cards 5 J 3 A", "target 7", "cards A A 2 9")
FIXED = [family for family in Family if family is not Family.mllama]


@pytest.fixture(params=FIXED)
def fixed_policy(request: pytest.FixtureRequest) -> Policy:
    policy = tiny(request.param)
    policy.decoder = FixedDecoder(policy.model, compiled=False)
    return policy


def prompts(policy: Policy, members: int = 3) -> list[Prompt]:
    sees = policy.vision is not None
    return [
        encode_first(policy, observation(text, picture(i) if sees and i != 2 else None))
        for i, text in enumerate(TEXTS)
        for _ in range(members)
    ]


def assert_same(found: list[Completion], wanted: list[Completion]) -> None:
    assert [each.token_ids for each in found] == [each.token_ids for each in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("greedy", [True, False])
def test_answers_and_log_probabilities_are_the_same(fixed_policy: Policy, greedy: bool) -> None:
    sampling = SamplingConfig(greedy=greedy, max_new_tokens=12)
    asked = prompts(fixed_policy)
    decoder, fixed_policy.decoder = fixed_policy.decoder, None
    wanted = generate(fixed_policy, asked, streams(len(asked)), sampling, max_rows=5)
    fixed_policy.decoder = decoder
    found = generate(fixed_policy, asked, streams(len(asked)), sampling, max_rows=5)
    assert_same(found, wanted)
    assert decoder is not None
    assert decoder.num_shapes >= 1


@pytest.mark.parametrize(
    "family", [Family.text, pytest.param(Family.qwen_vl, marks=pytest.mark.slow)]
)
def test_one_graph_for_each_shape_however_many_steps(family: Family) -> None:
    policy, sampling = tiny(family), SamplingConfig(greedy=True, max_new_tokens=8)
    asked, graphs = prompts(policy, members=2), CompileCounter()
    wanted = generate(policy, asked, streams(len(asked)), sampling, max_rows=6)
    policy.decoder = FixedDecoder(policy.model, backend=graphs)
    counts = []
    for _ in range(3):
        found = generate(policy, asked, streams(len(asked)), sampling, max_rows=6)
        assert_same(found, wanted)
        counts.append((graphs.frame_count, policy.decoder.num_shapes))
    assert counts == [counts[0]] * 3
    num_graphs, num_shapes = counts[0]
    assert num_graphs == num_shapes <= 3  # each is whole: nothing in a step breaks it


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
@pytest.mark.parametrize("family", [Family.text, Family.qwen_vl])
def test_compiled_steps_draw_the_same(family: Family, tmp_path: Path) -> None:
    plain = tiny(family)
    plain.save(tmp_path)
    asked, sampling = prompts(plain), SamplingConfig(max_new_tokens=8)
    wanted = generate(plain, asked, streams(len(asked)), sampling)
    told = PolicyConfig(name="p", path=str(tmp_path), device="cpu", compile_decode=True)
    policy = load_policy(told)
    assert_same(generate(policy, asked, streams(len(asked)), sampling), wanted)


def test_beyond_so_many_shapes_rows_are_decoded_as_otherwise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fixed, "MAX_SHAPES", 1)
    policy, sampling = tiny(Family.text), SamplingConfig(greedy=True, max_new_tokens=6)
    asked = prompts(policy)
    wanted = generate(policy, asked, streams(len(asked)), sampling)
    policy.decoder = FixedDecoder(policy.model, compiled=False)
    assert_same(generate(policy, asked, streams(len(asked)), sampling), wanted)
    with caplog.at_level("INFO"):
        few = generate(policy, asked[:2], streams(2), sampling)
    assert_same(few, wanted[:2])
    assert policy.decoder.num_shapes == 1
    assert "uncompiled: there are 1 shapes" in caplog.text


def test_conversations_go_on_and_two_engines_take_turns() -> None:
    """The memory of the steps is one policy's, not one engine's."""
    policy, sampling = tiny(Family.text), SamplingConfig(greedy=True, max_new_tokens=6)
    wanted = talks(policy, sampling)
    policy.decoder = FixedDecoder(policy.model, compiled=False)
    assert talks(policy, sampling) == wanted


def talks(policy: Policy, sampling: SamplingConfig) -> list[tuple[int, ...]]:
    """The answers of two turns in two engines, which decode alternately."""
    engines: list[Engine[int]] = [Engine(policy, sampling) for _ in range(2)]
    asked = [encode_first(policy, observation(text)) for text in TEXTS[:2]]
    found: list[tuple[int, ...]] = []
    for turn in range(2):
        for engine, prompt in zip(engines, asked, strict=True):
            engine.submit(0, prompt, StreamKey(seed=0, step=0, group=0, member=0, turn=turn))
        answers = [dict(engine.advance())[0].token_ids for engine in engines]
        found += answers
        new = encode_first(policy, observation("target 24")).ids
        asked = [
            Prompt(ids=(*prompt.ids, *ids, *new), images=(), new_ids=new)
            for prompt, ids in zip(asked, answers, strict=True)
        ]
    return found


def test_the_cache_goes_with_the_engine() -> None:
    policy = tiny(Family.text)
    policy.decoder = FixedDecoder(policy.model, compiled=False)
    gc.disable()
    try:
        engine: Engine[int] = Engine(policy, SamplingConfig(greedy=True, max_new_tokens=4))
        prompt = encode_first(policy, observation("target 24"))
        engine.submit(0, prompt, StreamKey(seed=0, step=0, group=0, member=0))
        engine.advance()
        cache = weakref.ref(engine._prompts.cache)
        del engine
        assert cache() is None
    finally:
        gc.enable()


def test_a_family_that_attends_to_pictures_beside_its_ids_is_refused() -> None:
    with pytest.raises(ValueError, match=r"compile_decode must be false for a mllama policy"):
        FixedDecoder(tiny(Family.mllama).model)


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"compile_decode must be false without a C\+\+ compiler"):
        compiled_decoder(tiny(Family.text).model)


def test_not_with_blocks_compiled_for_training() -> None:
    with pytest.raises(ValueError, match=r"compile_decode must be false with policy.compile; got"):
        PolicyConfig(name="p", compile=True, compile_decode=True)
