"""Prompts are shared in training where that is less to compute; gradients stay what they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.packing import Packed, pack
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.training.batch import WeightedRow, micro_batches
from cardinal_gym.training.grpo_config import KLPlace
from cardinal_gym.training.shared_prompts import chosen_batches
from toys import bandit, gradients, grpo_config, grpo_stage, needed, optim, tiny_policy

LIMIT = 300
CHOOSES = {"share_prompts": None}


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


def rows_of(
    prompt: int, answers: Sequence[int], *, groups: int = 3, images: bool = False
) -> list[WeightedRow]:
    """Groups whose prompts differ, or with pictures their pictures alone."""
    rows = []
    for group in range(groups):
        asked = [10 + (0 if images else group)] * prompt
        shown = (np.full((4, 4, 3), group, np.uint8),) if images else ()
        for count in answers:
            row = Row(
                ids=asked + [30] * count, mask=[0] * prompt + [1] * count,
                logprobs=[0.0] * (prompt + count), images=shown,
            )  # fmt: skip
            rows.append(WeightedRow(row=row, index=len(rows)))
    return rows


def indices(parts: Sequence[Sequence[WeightedRow]]) -> list[list[int]]:
    return [[row.index for row in part] for part in parts]


def test_long_prompts_are_shared_and_count_once(policy) -> None:
    rows = rows_of(100, [8, 12, 16, 10])
    parts, share = chosen_batches(rows, optim(micro_batch_tokens=LIMIT, **CHOOSES), policy)
    assert share
    assert sorted(index for part in indices(parts) for index in part) == list(range(len(rows)))
    assert len(parts) == 2  # 146 tokens a group
    for part in parts:
        packed = collate(policy, [each.row for each in part], share_prompts=True).packed
        assert packed is not None
        assert packed.input_ids.numel() <= LIMIT
    again, _ = chosen_batches(rows[::-1], optim(micro_batch_tokens=LIMIT, **CHOOSES), policy)
    assert indices(again) == indices(parts)


def test_a_row_that_shares_nothing_leaves_the_others_as_they_are(policy) -> None:
    rows, settings = rows_of(100, [8, 12, 16, 10]), optim(micro_batch_tokens=LIMIT, **CHOOSES)
    without, _ = chosen_batches(rows, settings, policy)
    odd = Row(ids=[30] * 40, mask=[1] * 40, logprobs=[0.0] * 40, images=())  # no prompt
    parts, share = chosen_batches([*rows, WeightedRow(row=odd, index=99)], settings, policy)
    assert share
    assert [99] in indices(parts)
    assert [part for part in indices(parts) if part != [99]] == indices(without)


def test_long_answers_are_read_by_length(policy) -> None:
    rows = rows_of(5, [90, 120, 60, 100])
    settings = optim(micro_batch_tokens=LIMIT, **CHOOSES)
    parts, share = chosen_batches(rows, settings, policy)
    assert not share
    assert indices(parts) == indices(list(micro_batches(rows, LIMIT)))
    forced, share = chosen_batches(rows, replace(settings, share_prompts=True), policy)
    assert share
    for part in forced:  # what is not packed after all keeps within the limit
        assert len(part) * max(row.num_tokens for row in part) <= LIMIT or len(part) == 1


def test_never_means_never(policy, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, settings = rows_of(100, [8, 12]), optim(micro_batch_tokens=LIMIT, **CHOOSES)
    assert chosen_batches(rows, settings, policy)[1]
    assert not chosen_batches(rows, replace(settings, share_prompts=False), policy)[1]
    monkeypatch.setattr(policy.model.config, "_attn_implementation", "flash_attention_2")
    assert not chosen_batches(rows, settings, policy)[1]  # which takes no masks


def test_prompts_that_differ_in_their_pictures_are_not_one() -> None:
    seeing = tiny_policy(Family.qwen_vl)
    rows = rows_of(100, [8, 12], images=True)
    parts, share = chosen_batches(rows, optim(micro_batch_tokens=130, **CHOOSES), seeing)
    assert share
    assert indices(parts) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("kl_in", list(KLPlace))
def test_gradients_are_those_of_rows_apart(kl_in: KLPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a reference's log-probabilities are measured beside them, or before them."""
    found, packs = {}, []

    def watch(*args: Any) -> Packed | None:
        packs.append(pack(*args))
        return packs[-1]

    monkeypatch.setattr("cardinal_gym.agents.rows.pack", watch)
    for share in (False, None, True):
        packs.clear()
        config = grpo_config(
            kl_in=kl_in, groups_per_step=3, group_size=8, kl_coef=0.01,
            optim=optim(micro_batch_tokens=100, share_prompts=share),
        )  # fmt: skip
        found[share] = gradients(*grpo_stage(tiny_policy(), bandit, config, **needed(config)))
        assert any(each is not None for each in packs) is (share is not False)
    for share in (None, True):
        torch.testing.assert_close(found[share], found[False], atol=1e-6, rtol=1e-4)
    assert float(found[False].abs().max()) > 0
