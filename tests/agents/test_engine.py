"""The engine that conversations join and leave: whoever leaves takes nothing from the others."""

import pytest
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.engine import Engine
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import Completion, StreamKey
from toy import observation

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
