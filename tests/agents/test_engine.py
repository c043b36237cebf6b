"""The engine that conversations join and leave: whoever leaves takes nothing from the others."""

import gc
import weakref
from collections import Counter
from typing import Any

import pytest
import torch
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.decoding import DecodingLayers
from cardinal_gym.agents.engine import Engine
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.prefill import PromptStore
from cardinal_gym.agents.scoring import hidden_states
from cardinal_gym.agents.types import Completion, StreamKey
from toy import observation, picture

GREEDY = SamplingConfig(greedy=True, max_new_tokens=6)


def finished(engine: Engine[str]) -> dict[str, Completion]:
    """Decode until nobody is left to answer."""
    answers: dict[str, Completion] = {}
    while part := engine.advance():
        answers.update(part)
    return answers


@pytest.mark.parametrize("lengths", [(9, 4, 4), (9, 5, 3)])
def test_the_longest_prompt_takes_its_padding_along(
    text_policy: Policy, lengths: tuple[int, ...]
) -> None:
    names = ("leaves", "one", "two")
    first = {
        name: encode_first(text_policy, observation(" ".join(["cards", *("57J3KQ9A2"[:length])])))
        for name, length in zip(names, lengths, strict=True)
    }
    engine: Engine[str] = Engine(text_policy, GREEDY)
    for name, prompt in first.items():
        engine.submit(name, prompt, StreamKey(seed=0, step=0, group=0, member=0))
    answers = finished(engine)
    engine.release("leaves")

    later = {}
    for name in names[1:]:
        new = encode_first(text_policy, observation("target 24")).ids
        ids = (*first[name].ids, *answers[name].token_ids, *new)
        later[name] = Prompt(ids=ids, images=(), new_ids=new)
        engine.submit(name, later[name], StreamKey(seed=0, step=0, group=0, member=0, turn=1))
    together = finished(engine)

    for name, prompt in later.items():
        stream = StreamKey(seed=0, step=0, group=0, member=0, turn=1)
        (alone,) = generate(text_policy, [prompt], [stream], GREEDY)
        assert together[name].token_ids == alone.token_ids
        assert together[name].logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_the_cache_goes_with_the_engine_though_nobody_collects_garbage(
    seeing_policy: Policy,
) -> None:
    gc.disable()
    try:
        engine: Engine[str] = Engine(seeing_policy, GREEDY)
        prompt = encode_first(seeing_policy, observation("cards 5 7", picture(0)))
        engine.submit("one", prompt, StreamKey(seed=0, step=0, group=0, member=0))
        finished(engine)
        cache = weakref.ref(engine._prompts.cache)
        layer = weakref.ref(engine._prompts.cache.layers[0])
        del engine
        assert cache() is None
        assert layer() is None
    finally:
        gc.enable()


ROWS, GROUPS, MEMBERS = 8, 4, 8


def test_free_rows_are_refilled_and_every_prompt_and_picture_is_read_once(
    seeing_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[Any] = Counter()
    num_encoded = []
    read_prompts, encode = PromptStore._read, seeing_policy.vision.encode

    def count_prompts(store: PromptStore, prompts: Any) -> None:
        read.update(prompts.keys())
        read_prompts(store, prompts)

    def count_pictures(model: Any, vision: Any) -> list[torch.Tensor]:
        features = encode(model, vision)
        num_encoded.append(len(features))
        return features

    monkeypatch.setattr(seeing_policy, "end_ids", tuple(range(20, 34)))  # one token in ten
    monkeypatch.setattr(PromptStore, "_read", count_prompts)
    monkeypatch.setattr(seeing_policy.vision, "encode", count_pictures)
    prompts = [encode_first(seeing_policy, observation("cards", picture(g))) for g in range(GROUPS)]
    streams = [StreamKey(seed=1, step=0, group=i, member=0) for i in range(GROUPS * MEMBERS)]
    running: list[int] = []
    answers = generate(
        seeing_policy,
        [prompt for prompt in prompts for _ in range(MEMBERS)],
        streams,
        SamplingConfig(max_new_tokens=40, temperature=8.0),  # hardly any preference
        max_rows=ROWS,
        on_tokens=running.append,
    )
    lengths = [len(answer.token_ids) for answer in answers]
    assert len(set(lengths)) > 3  # they end at different times
    assert sum(running) == sum(lengths)
    assert max(running) == ROWS
    in_waves = sum(max(lengths[i : i + ROWS]) for i in range(0, len(lengths), ROWS))
    assert len(running) < 0.8 * in_waves
    refilled = [i for i in range(1, len(running)) if running[i] > running[i - 1]]
    assert all(running[i - 1] > 0 for i in refilled)
    assert len(refilled) > GROUPS - 1
    assert sorted(read.values()) == [1] * GROUPS
    assert sum(num_encoded) == GROUPS


def test_layers_for_decoding_compute_the_same_and_are_put_back(policy: Policy) -> None:
    parts = [policy.model.get_decoder(), policy.model.get_output_embeddings()]
    ids = torch.arange(12).view(2, 6)
    layers = DecodingLayers(parts)
    with torch.no_grad():
        before = hidden_states(policy.model, ids)
        with layers.in_use():
            during = hidden_states(policy.model, ids)
            assert "forward" in vars(parts[1])
    torch.testing.assert_close(during, before, rtol=1e-4, atol=1e-4)
    assert not any("forward" in vars(m) for m in policy.model.modules())


def test_only_whole_float32_weights_are_laid_out_for_decoding() -> None:
    layer = torch.nn.Linear(4, 4, dtype=torch.bfloat16)
    with DecodingLayers([layer]).in_use():
        assert "forward" not in vars(layer)
