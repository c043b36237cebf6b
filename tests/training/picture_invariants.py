"""Invariants of rows with pictures: who sees which, at which placeholders, however they are cut.

`row_invariants.py` has those of rows in general; `planted_picture_bugs.py` holds the mistakes that
the checks here must catch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents import chat
from cardinal_gym.agents.chat import Prompt, encode_first
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate, row_from_answer, rows_from_episode
from cardinal_gym.agents.types import Completion, ContextMode, Episode, Status, Turn
from cardinal_gym.envs.core import Observation, Verdict
from invariants import Check
from row_invariants import SAMPLING, assert_alike, played, rows_of, scores
from toys import GuessEnv, tiny_policy

# One family beside whose text pictures stand, and one among whose ids they do.
KINDS = (Family.mllama, Family.qwen_vl)
SIZES = ((56, 56), (28, 56), (56, 28), (56, 84), (28, 28))  # of as many turns' pictures


def picture(seed: int, height: int = 56, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seeing_policy(family: Family, context: ContextMode = ContextMode.concat) -> Policy:
    """Its tiles are large enough that a picture has rows and columns of patches."""
    return tiny_policy(family, context, spread=3.0, tile_size=56)


def shown(text: str, image: np.ndarray | None) -> Observation:
    return Observation(text=text, update=text, image=image)


class SeenEnv(GuessEnv):
    """Guessing, with a picture in every turn that tells tasks and turns apart; the text does not.

    darker: a change of every picture's first pixels.
    """

    def __init__(self, darker: bool = False) -> None:
        super().__init__(max_turns=2)
        self.darker = darker

    def _deal(self, options: dict[str, Any]) -> None:
        super()._deal(options)
        self.number = int(self.np_random.integers(1000))

    def _observe(self, verdict: Verdict | None) -> Observation:
        image = picture(2 * self.number + (verdict is not None))
        if self.darker:
            image[:28] //= 8
        return shown("target 7" if verdict is None else "wrong", image)


def conversation(policy: Policy, *turns: tuple[str, np.ndarray | None]) -> Row:
    """A row of turns that are each answered `5 * 3`; the answers are sampled."""
    ids: list[int] = []
    mask: list[int] = []
    images: list[np.ndarray] = []
    for text, image in turns:
        prompt = encode_first(policy, shown(text, image))
        part = row_from_answer(policy, prompt.ids, "5 * 3")
        ids, mask, images = [*ids, *part.ids], [*mask, *part.mask], [*images, *prompt.images]
    return Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=tuple(images))


def text_does_not_see_pictures_that_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mllama's leak: in transformers, text before any picture attends to all, and to padding."""
    for family in KINDS:
        policy = seeing_policy(family)
        for first in (None, picture(0)):
            alone = conversation(policy, ("target 7", first))
            later = [
                conversation(policy, ("target 7", first), ("wrong", picture(seed)))
                for seed in (1, 2)
            ]
            (wanted,) = scores(policy, [alone])
            for row in later:
                assert_alike([scores(policy, [row])[0][: len(wanted)]], [wanted])
            beside = scores(policy, [alone, *later])  # those of rows without a picture, too
            assert_alike([each[: len(wanted)] for each in beside], [wanted] * 3)


def room_for_more_pictures_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row with one picture beside rows with three: slots that hold nothing are padding."""
    for family in (*KINDS, Family.idefics3):
        policy = seeing_policy(family)
        one = conversation(policy, ("target 7", picture(0)), ("wrong", None))
        many = conversation(policy, *[("wrong", picture(seed)) for seed in (1, 2, 0)])
        none = conversation(policy, ("target 7", None))
        alone = [scores(policy, [row])[0] for row in (one, many, none)]
        assert_alike(scores(policy, [one, many, none]), alone)
        assert_alike(scores(policy, [none, many, one], pad_side="left")[::-1], alone)


def pictures_score_as_in_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a forward pass that computes every place of every layer, and all logits."""
    for family in KINDS:
        policy = seeing_policy(family)
        assert policy.vision is not None
        row = conversation(policy, *[("target 7", picture(seed)) for seed in range(3)])
        batch = collate(policy, [row])
        with torch.no_grad():
            inputs = policy.vision.inputs(policy.model, batch.vision)
            logits = policy.model(input_ids=batch.input_ids, **inputs).logits[0, :-1]
        logits[:, list(policy.banned_ids)] = -1e9
        logp = (logits / SAMPLING.temperature).log_softmax(-1)
        every = logp.gather(-1, batch.input_ids[0, 1:, None])[:, 0]
        assert_alike(scores(policy, [row]), [every[batch.mask[0, 1:] > 0]])


def the_sampler_sees_what_the_trainer_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a picture in every turn, and prompts that only their pictures tell apart."""
    for family in KINDS:
        policy = seeing_policy(family)
        rows = rows_of(policy, played(policy, SeenEnv))
        told = [torch.tensor(row.logprobs)[torch.tensor(row.mask) > 0] for row in rows]
        assert_alike(scores(policy, rows), told)


def another_picture_changes_what_is_sampled_and_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in KINDS:
        policy = seeing_policy(family)
        sampled, trained = [], []
        for darker in (False, True):
            (episode, *_) = played(policy, lambda darker=darker: SeenEnv(darker))
            sampled.append(episode.turns[0].completion.logprobs[0])
            image = episode.turns[0].observation.image
            trained += scores(policy, [conversation(policy, ("target 7", image))])
        assert abs(sampled[0] - sampled[1]) > 1e-3
        assert (trained[0] - trained[1]).abs().max() > 1e-3


def pictures_match_placeholders_at_every_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a turn, its text goes together with its picture."""
    for family in KINDS:
        policy = seeing_policy(family, ContextMode.last_k)
        whole = len(_asked(policy, [], 0, 10_000).ids)
        sizes = {_walk(policy, room) for room in range(whole, 7 * whole, whole // 2)}
        assert sizes == {1, 2, 3}  # cut by the room, and by `context_turns`
        policy.max_images = 2
        assert _walk(policy, 10_000) == 2


def a_conversation_grows_and_shows_a_picture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prompt goes on from the ids before it; only what is new to see has placeholders."""
    for family in KINDS:
        policy = seeing_policy(family)
        assert policy.vision is not None
        turns: list[Turn] = []
        ids: tuple[int, ...] = ()
        images: tuple[np.ndarray, ...] = ()
        for k in range(4):
            seen = shown(f"target {k}", picture(k // 2, *SIZES[k // 2]))  # each for two turns
            prompt = chat.encode_next(policy, turns, seen)
            assert prompt.ids == (*ids, *prompt.new_ids)
            images = prompt.images
            held = prompt.ids.count(policy.vision.image_token_id)
            assert held == policy.vision.num_placeholders(images)
            assert len(images) == 1 + k // 2
            turn = _answered(policy, prompt, k)
            turns.append(replace(turn, observation=seen, prompt_ids=prompt.new_ids))
            ids = (*prompt.ids, *turn.completion.token_ids)
        (row,) = rows_from_episode(_episode(policy, turns), policy)
        assert row.ids == list(ids)
        assert len(row.images) == len(images)
        assert all(map(np.array_equal, row.images, images))


def _walk(policy: Policy, room: int) -> int:
    """Play turns of unequal pictures within `room` ids; how many turns the last prompt holds."""
    assert policy.vision is not None
    turns: list[Turn] = []
    prompts: list[Prompt] = []
    for k in range(len(SIZES)):
        prompt = _asked(policy, turns, k, room)
        held = prompt.ids.count(policy.vision.image_token_id)
        assert held == policy.vision.num_placeholders(prompt.images)
        begun = prompt.ids.count(policy.tokenizer.convert_tokens_to_ids("<user>"))
        last = [turn.observation.image for turn in turns[k + 1 - begun :]] + [_image(k)]
        assert len(prompt.images) == len(last) == begun
        assert all(map(np.array_equal, prompt.images, last))
        turns.append(_answered(policy, prompt, k))
        prompts.append(prompt)
    rows = rows_from_episode(_episode(policy, turns), policy)
    for row, turn, prompt in zip(rows, turns, prompts, strict=True):
        assert row.ids == [*prompt.ids, *turn.completion.token_ids]
        assert len(row.images) == len(prompt.images)
        assert all(map(np.array_equal, row.images, prompt.images))
    return len(prompts[-1].images)


def _episode(policy: Policy, turns: Sequence[Turn]) -> Episode:
    return Episode(
        group=0, member=0, seed=0, task_id="", split="", rule="", visual="",
        context=policy.context, turns=tuple(turns), status=Status.turn_limit, success=False,
        episode_return=0.0,
    )  # fmt: skip


def _image(k: int) -> np.ndarray:
    return picture(k, *SIZES[k])


def _asked(policy: Policy, history: Sequence[Turn], k: int, room: int) -> Prompt:
    return chat.encode_next(policy, history, shown(f"target {k}", _image(k)), room)


def _answered(policy: Policy, prompt: Prompt, k: int) -> Turn:
    ids = chat.encode_answer(policy, "5 * 3")
    return Turn(
        observation=shown(f"target {k}", _image(k)), prompt_ids=prompt.ids,
        completion=Completion(text="5 * 3", token_ids=ids, logprobs=(0.0,) * len(ids)),
        reward=0.0, reward_terms={}, outcome="", success=False, feedback="",
    )  # fmt: skip


def sharing_prompts_changes_no_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one prompt read it once in training; equal texts under two pictures share nothing."""
    for family in KINDS:
        policy = seeing_policy(family)
        rows = []
        for seed in (0, 0, 1, 1):
            prompt = encode_first(policy, shown("target 7 cards 5 J Q K", picture(seed)))
            answer = "5 * 3 + 7"[: 3 + 2 * len(rows)]
            rows.append(row_from_answer(policy, prompt.ids, answer, prompt.images))
        assert collate(policy, rows, share_prompts=True).packed is not None
        alone = [scores(policy, [row])[0] for row in rows]
        assert_alike(scores(policy, rows, share_prompts=True), alone)
        assert (alone[1][:3] - alone[2][:3]).abs().max() > 1e-3  # the same ids, seen differently


def what_a_frozen_tower_saw_ends_with_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy(Family.qwen_vl, spread=3.0)
    fresh = tiny_policy(Family.qwen_vl, spread=2.0)
    policy.freeze_vision()
    fresh.freeze_vision()
    rows = [conversation(policy, ("target 7", picture(0)))]
    before = scores(policy, rows)
    for each in (policy, fresh):
        each.model.requires_grad_(True)  # a checkpoint holds what is trained: here all of it
    policy.load_state_dict(fresh.state_dict())
    assert_alike(scores(policy, rows), scores(fresh, rows))
    assert (scores(policy, rows)[0] - before[0]).abs().max() > 1e-3


PICTURE_INVARIANTS: tuple[Check, ...] = (
    text_does_not_see_pictures_that_come_later,
    room_for_more_pictures_changes_nothing,
    pictures_score_as_in_the_whole_model,
    the_sampler_sees_what_the_trainer_sees,
    another_picture_changes_what_is_sampled_and_trained,
    pictures_match_placeholders_at_every_cut,
    a_conversation_grows_and_shows_a_picture_once,
    sharing_prompts_changes_no_scores,
    what_a_frozen_tower_saw_ends_with_its_weights,
)
