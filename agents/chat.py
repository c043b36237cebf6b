"""Observations to prompt ids, through the policy's own chat template.

The first prompt is the template's rendering of the observation. A later prompt in `concat` mode is
the earlier prompt, the ids that were sampled (verbatim, never decoded and encoded again), and the
environment's suffix: what the template puts between two answers. The suffix is found by rendering a
conversation with marker answers and cutting after the marker, so that any template works whose text
after an answer does not depend on the answer. Templates that rewrite earlier turns (for example by
dropping their reasoning) therefore differ from a fresh rendering: the policy sees what it said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..envs.core import Observation
from .messages import new_image
from .policy import Policy
from .tokens import MARKER, render, text_content
from .types import ContextMode, Turn
from .vision import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the policy reads before it answers.

    ids: the whole prompt. [P]
    images: the pictures shown in it, one per image placeholder.
    new_ids: the part that this turn adds: all of it, or in `concat` mode the environment's suffix.
    """

    ids: tuple[int, ...]
    images: Images
    new_ids: tuple[int, ...]


def encode_first(policy: Policy, observation: Observation) -> Prompt:
    """The prompt of a conversation's first turn, or of a turn that stands alone.

    Raises ValueError if the observation has a picture and the policy cannot see.
    """
    images = _images(policy, observation)
    messages = [_user(policy, observation.text, bool(images))]
    ids = _encode(policy, render(policy.tokenizer, messages, answer_next=True), images)
    return Prompt(ids=ids, images=images, new_ids=ids)


def encode_next(
    policy: Policy,
    history: Sequence[Turn],
    observation: Observation,
    max_ids: int | None = None,
) -> Prompt:
    """The prompt after `history` (oldest first; may be empty) for the present observation.

    max_ids: of a prompt; `last_k` drops turns to stay within it. None: the policy's whole context.
    """
    if policy.context is ContextMode.single_turn or not history:
        return encode_first(policy, observation)
    if policy.context is ContextMode.last_k:
        return _encode_recent(policy, history, observation, max_ids or policy.max_context)
    ids = [i for turn in history for i in (*turn.prompt_ids, *turn.completion.token_ids)]
    shown = shown_images(policy, [turn.observation for turn in history])
    new = _new_images(policy, history[-1].observation, observation)
    suffix = _suffix(policy, observation.update, history[-1].completion.token_ids, new)
    return Prompt(ids=(*ids, *suffix), images=(*shown, *new), new_ids=suffix)


def images_of_turn(policy: Policy, turns: Sequence[Turn]) -> Images:
    """The pictures in the prompt of the last of `turns`, which had a prompt of its own."""
    *history, turn = turns
    if policy.context is ContextMode.last_k:
        for start in range(max(0, len(turns) - policy.context_turns), len(turns)):
            prompt = _encode_window(policy, history[start:], turn.observation)
            if prompt.ids == turn.prompt_ids:
                return prompt.images
    return _images(policy, turn.observation)


def has_room(policy: Policy, prompt: Prompt, max_ids: int) -> bool:
    """Whether a prompt is within the budgets of ids and pictures."""
    most = policy.max_images
    return len(prompt.ids) <= max_ids and (most is None or len(prompt.images) <= most)


def encode_answer(policy: Policy, text: str) -> tuple[int, ...]:
    """The ids of an answer as if it had been sampled: its text and the end token. For SFT."""
    return (*_encode(policy, text), policy.end_ids[0])


def decode_answer(policy: Policy, ids: Sequence[int]) -> str:
    """The text of a completion, for the environment; without its end token."""
    body = ids[:-1] if ids and ids[-1] in policy.end_ids else ids
    return policy.tokenizer.decode(list(body), skip_special_tokens=False)


def shown_images(policy: Policy, observations: Sequence[Observation]) -> Images:
    """The pictures of a `concat` conversation: the first, and each that differs from the last."""
    images = _images(policy, observations[0])
    for before, after in pairwise(observations):
        images = (*images, *_new_images(policy, before, after))
    return images


def _encode_recent(
    policy: Policy, history: Sequence[Turn], observation: Observation, max_ids: int
) -> Prompt:
    """As many of the last turns as may be shown; at least the present observation."""
    first = max(0, len(history) + 1 - policy.context_turns)
    windows = (
        _encode_window(policy, history[start:], observation)
        for start in range(first, len(history) + 1)
    )
    prompt = next(windows)
    while not has_room(policy, prompt, max_ids) and (shorter := next(windows, None)) is not None:
        prompt = shorter
    return prompt


def _encode_window(policy: Policy, turns: Sequence[Turn], observation: Observation) -> Prompt:
    """A conversation that begins with the first of `turns`; every answer as it was sampled."""
    seen = [*(turn.observation for turn in turns), observation]
    start = encode_first(policy, seen[0])
    ids, images = list(start.ids), start.images
    for turn, after in zip(turns, seen[1:], strict=True):
        sampled = turn.completion.token_ids
        new = _new_images(policy, turn.observation, after)
        ids += [*sampled, *_suffix(policy, after.update, sampled, new)]
        images = (*images, *new)
    return Prompt(ids=tuple(ids), images=images, new_ids=tuple(ids))


def _images(policy: Policy, observation: Observation) -> Images:
    if observation.image is None:
        return ()
    if policy.vision is None:
        raise ValueError(
            f"a policy of family {policy.family.value} cannot see the environment's picture: "
            "use modality=text or a vision policy"
        )
    return (observation.image,)


def _new_images(policy: Policy, before: Observation, after: Observation) -> Images:
    return _images(policy, after) if new_image(before, after) is not None else ()


def _suffix(
    policy: Policy, update: str, answer_ids: Sequence[int], images: Images
) -> tuple[int, ...]:
    """Ids between two answers: end of turn (unless sampled), user turn, the answer's start."""
    messages = [
        _user(policy, "first", False),
        {"role": "assistant", "content": text_content(MARKER, policy.text_as_parts)},
        _user(policy, update, bool(images)),
    ]
    rendered = render(policy.tokenizer, messages, answer_next=True)
    _, found, after = rendered.partition(MARKER)
    if not found:
        raise ValueError("the policy's chat template must render assistant messages verbatim")
    ids = _encode(policy, after, images)
    sampled_end = bool(answer_ids) and answer_ids[-1] in policy.end_ids
    if sampled_end and ids and ids[0] in policy.end_ids:
        return ids[1:]
    if not sampled_end and (not ids or ids[0] not in policy.end_ids):
        return (policy.end_ids[0], *ids)
    return ids


def _user(policy: Policy, text: str, with_image: bool) -> dict[str, Any]:
    if not with_image:
        return {"role": "user", "content": text_content(text, policy.text_as_parts)}
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}


def _encode(policy: Policy, text: str, images: Images = ()) -> tuple[int, ...]:
    ids = tuple(policy.tokenizer.encode(text, add_special_tokens=False))
    return policy.vision.expand(ids, images) if policy.vision is not None and images else ids
