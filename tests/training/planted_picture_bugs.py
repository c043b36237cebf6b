"""Mistakes with pictures that the checks of `picture_invariants.py` must catch.

As in `planted_bugs.py`, each names the invariant that it breaks and what stands in for what.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import picture_invariants as of_pictures
import torch
from cardinal_gym.agents import chat, packing, rows, running, scoring, seating, vision
from cardinal_gym.agents.chat import Prompt
from cardinal_gym.agents.families import mllama, qwen_vl
from cardinal_gym.agents.families.embedded import EmbeddedVision
from cardinal_gym.agents.first_layer import computed_once
from cardinal_gym.agents.last_layer import computed_at
from planted_bugs import Bug

MLLAMA, QWEN = mllama.MllamaVision, qwen_vl.QwenVision
SEEN, NEXT, DRAW = MLLAMA._cross_attention_mask, MLLAMA.next_inputs, running.draw
ENCODE_ONCE, RECENT = vision.VisionFamily.encode_once, chat._encode_recent
INPUTS, BLOCKS = EmbeddedVision.inputs, packing._blocks


def _every_picture(self: Any, images: Any, ids: Any, attention_mask: Any) -> Any:
    """From the first on, whatever stands in the other slots."""
    mask = SEEN(self, images, ids, attention_mask)
    return (mask.amax(dim=(2, 3), keepdim=True) > 0).float().expand_as(mask)


def _to_the_end(places: list[int], length: int) -> list[tuple[int, int]]:
    """All pictures from the row's first id on."""
    return [(0, length) for _ in places]


@contextmanager
def _by_id_alone(policy: Any, ids: torch.Tensor, wanted: torch.Tensor) -> Iterator[None]:
    with computed_once(policy.model, ids), computed_at(policy.model, wanted):
        yield


def _in_order(self: Any, model: Any, seen: Any) -> Any:
    return INPUTS(self, model, {**seen, "image_order": seen["image_order"].sort().values})


def _blind(self: Any, model: Any, seen: Any) -> Any:
    return [torch.zeros_like(each) for each in ENCODE_ONCE(self, model, seen)]


def _text_dropped(policy: Any, history: Sequence[Any], observation: Any, room: int) -> Prompt:
    """A cut takes turns' texts and leaves their pictures."""
    return replace(
        RECENT(policy, history, observation, room),
        images=RECENT(policy, history, observation, 10**9).images,
    )


def _pictures_dropped(policy: Any, history: Sequence[Any], observation: Any, room: int) -> Prompt:
    """A cut takes pictures and leaves the texts of their turns."""
    return replace(
        RECENT(policy, history, observation, 10**9),
        images=RECENT(policy, history, observation, room).images,
    )


def _cut_at_the_id(policy: Any, history: Sequence[Any], observation: Any, room: int) -> Prompt:
    whole = RECENT(policy, history, observation, 10**9)
    return replace(whole, ids=whole.ids[-room:])


def _of_all_turns(policy: Any, turns: Sequence[Any]) -> Any:
    return tuple(turn.observation.image for turn in turns[-policy.context_turns :])


PICTURE_BUGS: tuple[Bug, ...] = (
    Bug(
        "text before a picture takes something from cross-attention",
        of_pictures.text_does_not_see_pictures_that_come_later, mllama, "_mask_output",
        lambda attention, given, found: found,
    ),
    Bug(
        "every text sees all pictures of its row",
        of_pictures.text_does_not_see_pictures_that_come_later, mllama, "_visible_spans",
        _to_the_end,
    ),
    Bug(
        "the mask of cross-attention is left out",
        of_pictures.text_does_not_see_pictures_that_come_later, MLLAMA, "_cross_attention_mask",
        lambda self, images, ids, present: torch.ones_like(SEEN(self, images, ids, present)),
    ),
    Bug(
        "empty slots for pictures are seen",
        of_pictures.room_for_more_pictures_changes_nothing, MLLAMA, "_cross_attention_mask",
        _every_picture,
    ),
    Bug(
        "features of pictures go to rows in another order than they are shown",
        of_pictures.room_for_more_pictures_changes_nothing, EmbeddedVision, "inputs", _in_order,
    ),
    Bug(
        "places of pictures share an id, and so the first layer's states",
        of_pictures.pictures_score_as_in_the_whole_model, scoring, "_lean", _by_id_alone,
    ),
    Bug(
        "an answer does not see the picture that its prompt sees",
        of_pictures.the_sampler_sees_what_the_trainer_sees, MLLAMA, "next_inputs",
        lambda self, seen, owners: {
            name: torch.zeros_like(mask) for name, mask in NEXT(self, seen, owners).items()
        },
    ),
    Bug(
        "an answer is counted on from its prompt's ids, not from its positions",
        of_pictures.the_sampler_sees_what_the_trainer_sees, QWEN, "next_positions",
        lambda self, seen, lengths: lengths,
    ),
    Bug(
        "prompts of equal ids share a cache, whatever they show",
        of_pictures.the_sampler_sees_what_the_trainer_sees, seating, "prompt_key",
        lambda prompt: (prompt.ids, ()),
    ),
    Bug(
        "ids that stand for pictures may be sampled",
        of_pictures.the_sampler_sees_what_the_trainer_sees, running, "draw",
        lambda logits, uniform, banned, sampling: DRAW(logits, uniform, banned[:0], sampling),
    ),
    Bug(
        "no picture reaches the model",
        of_pictures.another_picture_changes_what_is_sampled_and_trained, vision.VisionFamily,
        "encode_once", _blind,
    ),
    Bug(
        "pictures of one shape are taken for one picture",
        of_pictures.another_picture_changes_what_is_sampled_and_trained, vision, "fingerprint",
        lambda image: str(image.shape).encode(),
    ),
    Bug(
        "a turn's text is dropped and its picture kept",
        of_pictures.pictures_match_placeholders_at_every_cut, chat, "_encode_recent",
        _text_dropped,
    ),
    Bug(
        "a turn's picture is dropped and its text kept",
        of_pictures.pictures_match_placeholders_at_every_cut, chat, "_encode_recent",
        _pictures_dropped,
    ),
    Bug(
        "a prompt is cut in the middle of a turn",
        of_pictures.pictures_match_placeholders_at_every_cut, chat, "_encode_recent",
        _cut_at_the_id,
    ),
    Bug(
        "a row has the pictures of turns that were cut",
        of_pictures.pictures_match_placeholders_at_every_cut, rows, "images_of_turn",
        _of_all_turns,
    ),
    Bug(
        "the budget of pictures is not kept",
        of_pictures.pictures_match_placeholders_at_every_cut, chat, "has_room",
        lambda policy, prompt, most: len(prompt.ids) <= most,
    ),
    Bug(
        "a row has a picture for every turn, though it is shown once",
        of_pictures.a_conversation_grows_and_shows_a_picture_once, rows, "shown_images",
        lambda policy, seen: tuple(each.image for each in seen),
    ),
    Bug(
        "a picture that is drawn again is shown again",
        of_pictures.a_conversation_grows_and_shows_a_picture_once, chat, "new_image",
        lambda before, after: None if after.image is before.image else after.image,
    ),
    Bug(
        "answers in one sequence see one another",
        of_pictures.sharing_prompts_changes_no_scores, packing, "_blocks",
        lambda segment, dtype: BLOCKS(segment.clamp(max=1), dtype),
    ),
    Bug(
        "rows of equal texts are trained on one picture",
        of_pictures.sharing_prompts_changes_no_scores, packing, "fingerprint",
        lambda image: b"",
    ),
    Bug(
        "an answer goes on at the place in the sequence, not at its prompt's end",
        of_pictures.sharing_prompts_changes_no_scores, packing, "_positions",
        lambda seen, offset, prompts: torch.arange(offset.shape[1]).expand(
            *(3, *offset.shape) if "position_ids" in seen else offset.shape
        ),
    ),
    Bug(
        "a frozen tower's features outlive its weights",
        of_pictures.what_a_frozen_tower_saw_ends_with_its_weights, vision.VisionFamily, "forget",
        lambda self: None,
    ),
)  # fmt: skip
