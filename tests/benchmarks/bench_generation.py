"""Decoding and scoring on one core: `make bench BENCH=tests/benchmarks/bench_generation.py`.

The workload is a training step's: 32 tasks x 8 members, 33 new tokens, prompts of 21 or about 100
tokens; ours against `transformers.generate` on the same model, in tokens per CPU-second. The study
published no such figure; TRL's, measured on a machine of this kind with a Llama of 1.83 M
parameters, stand beside ours: they are of whole training steps, so no measure of decoding alone.
"""

import time
from collections.abc import Callable

import gymnasium as gym
import pytest
import torch
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig, SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.seating import Seat
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.envs import core

GROUPS, MEMBERS, NEW_TOKENS = 32, 8, 33
TRL_GRPO = "TRL 1.16, a whole GRPO step of 64 completions: 880 sampled tokens/CPU-s"
TRL_SFT = "TRL 1.16, a whole SFT step of 64 x 160 tokens: 5,169 tokens/CPU-s"
SHORT = "rule J = 10 Q = 10 K = 10 target 24 cards 5 J 3 {}"
LONG = " ".join(["rule J = 10 Q = 10 K = 10 target 24 cards 5 J 3 A"] * 6) + " {}"


@pytest.fixture(scope="module", params=["text", "mllama"])
def policy(request: pytest.FixtureRequest) -> Policy:
    torch.set_num_threads(1)
    made = load_policy(
        PolicyConfig(name="bench", build=BuildConfig(family=Family(request.param)), device="cpu")
    )
    made.end_ids = (made.end_ids[0],)
    return made


@pytest.mark.parametrize("text", [SHORT, LONG], ids=["short prompt", "long prompt"])
def test_decoding_rate(policy: Policy, text: str) -> None:
    prompts = [prompt for prompt in _prompts(policy, text) for _ in range(MEMBERS)]
    keys = [
        StreamKey(seed=0, step=0, group=g, member=m) for g in range(GROUPS) for m in range(MEMBERS)
    ]
    sampling = SamplingConfig(max_new_tokens=NEW_TOKENS)
    ours = _rate(lambda: sum(len(c.token_ids) for c in generate(policy, prompts, keys, sampling)))
    theirs = _rate(lambda: _transformers_generate(policy, prompts))
    length = len(prompts[0].ids)
    print(f"\n{policy.family.value} {length}-token prompts: generate {ours:,.0f} tokens/CPU-s, ")
    print(f"transformers.generate {theirs:,.0f} tokens/CPU-s ({ours / theirs:.2f}x)\n({TRL_GRPO})")


@pytest.mark.parametrize("remember", [True, False], ids=["remembered", "read again"])
def test_five_turn_rate(policy: Policy, remember: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst case: no answer is right, so that every episode takes five turns."""
    if policy.family is not Family.text:
        pytest.skip("only text conversations are remembered")
    if not remember:
        monkeypatch.setattr(Seat, "leads_to", lambda *_: False)
    agent = PolicyAgent(policy, SamplingConfig(max_new_tokens=NEW_TOKENS))
    pool: list[gym.Env] = []

    def play() -> int:
        seeds = [g for g in range(GROUPS) for _ in range(MEMBERS)]
        episodes = rollout(
            lambda: gym.make("cardinal/GeneralPoints-v0", prompt="compact", max_turns=5),
            agent,
            seeds,
            groups=seeds,
            members=[i % MEMBERS for i in range(len(seeds))],
            pool=pool,
        )
        return sum(episode.num_sampled_tokens for episode in episodes)

    kind = "remembered" if remember else "read again"
    print(f"\n{GROUPS * MEMBERS} episodes of 5 turns, {kind}: {_rate(play, 1):,.0f} tokens/CPU-s")


def test_scoring_rate(policy: Policy) -> None:
    prompts = [p for p in _prompts(policy, SHORT) for _ in range(MEMBERS)][:64]
    rows = [
        Row(
            ids=[*p.ids, *range(10, 10 + NEW_TOKENS)],
            mask=[0] * len(p.ids) + [1] * NEW_TOKENS,
            logprobs=[0.0] * (len(p.ids) + NEW_TOKENS),
            images=p.images,
        )
        for p in prompts
    ]
    count = sum(len(row.ids) for row in rows)

    def score() -> int:
        with torch.no_grad():
            token_logprobs(policy, collate(policy, rows))
        return count

    def train() -> int:
        token_logprobs(policy, collate(policy, rows)).sum().backward()
        policy.model.zero_grad()
        return count

    print(f"\n{policy.family.value} 64 x {len(rows[0].ids)} tokens: forward {_rate(score):,.0f}, ")
    print(f"forward and backward {_rate(train):,.0f} tokens/CPU-s\n({TRL_SFT})")


def _prompts(policy: Policy, text: str) -> list[Prompt]:
    prompts = []
    for i in range(GROUPS):
        said = text.format(i + 2)
        image = None
        if policy.family is Family.mllama:
            generator = torch.Generator().manual_seed(i)
            image = torch.randint(256, (56, 112, 3), generator=generator).to(torch.uint8).numpy()
        prompts.append(encode_first(policy, core.Observation(text=said, update=said, image=image)))
    return prompts


def _transformers_generate(policy: Policy, prompts: list[Prompt]) -> int:
    rows = [
        Row(ids=list(p.ids), mask=[0] * len(p.ids), logprobs=[0.0] * len(p.ids), images=p.images)
        for p in prompts
    ]
    batch = collate(policy, rows, pad_side="left")
    pictures = dict(batch.vision)
    if pictures:
        which = pictures.pop("image_rows")
        del pictures["entry_keys"]
        for name in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask"):
            pictures[name] = pictures[name][which]
    out = policy.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=NEW_TOKENS,
        **pictures,
    )
    new = out[:, batch.input_ids.shape[1] :]
    return int((new != policy.pad_id).sum())


def _rate(work: Callable[[], int], repeats: int = 3) -> float:
    """The best of `repeats` after one warm-up, per CPU-second."""
    work()
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        count = work()
        rates.append(count / (time.process_time() - start))
    return max(rates)
