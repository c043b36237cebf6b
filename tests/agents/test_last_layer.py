"""The last layer computes what is wanted, and that is what the whole layer would have given."""

import pytest
import torch
from cardinal_gym.agents import last_layer, packing
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.last_layer import follow_places
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Batch, Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import adapted, tiny
from toy import observation, picture

SCORED = 3  # ids of each row


def rows_of(policy: Policy, packed: bool = False) -> Batch:
    """Two prompts with an answer each; packed: two answers to each, which share it."""
    rows = []
    for i in range(2):
        image = None if policy.vision is None else picture(i)
        prompt = encode_first(policy, observation("target 24" + " cards" * i, image))
        for answer in ([20, 21, 22], [30, 31, 32])[: 1 + packed]:
            ids = [*prompt.ids, *answer]
            mask = [0] * len(prompt.ids) + [1] * SCORED
            rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    batch = collate(policy, rows, share_prompts=packed)
    assert (batch.packed is not None) == packed
    return batch


def scores_and_slopes(policy: Policy, batch: Batch) -> list[torch.Tensor]:
    policy.model.zero_grad()
    found = token_logprobs(policy, batch)
    found.sum().backward()
    slopes = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
    policy.model.zero_grad()
    return [found.detach(), *slopes]


def ids_read_by_feed_forward(policy: Policy, batch: Batch) -> int:
    read = []
    mlp = policy.model.get_decoder().layers[-1].mlp
    handle = mlp.register_forward_pre_hook(
        lambda _, given: read.append(given[0].numel() // given[0].shape[-1])
    )
    with torch.no_grad():
        token_logprobs(policy, batch)
    handle.remove()
    (number,) = read
    return number


def both_ways(
    policy: Policy, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Scores and gradients without what is not wanted, each beside that of the whole layer."""
    ids = batch.input_ids if batch.packed is None else batch.packed.input_ids
    with monkeypatch.context() as whole:
        whole.setattr(last_layer, "WORTHWHILE", 0.0)  # nothing is left out
        wanted = scores_and_slopes(policy, batch)
        assert ids_read_by_feed_forward(policy, batch) == ids.numel()
    ahead_of_sampled = SCORED * len(batch.input_ids)
    if batch.packed is not None:
        ahead_of_sampled -= 2  # both answers of each of two prompts begin after one id
    assert ids_read_by_feed_forward(policy, batch) == ahead_of_sampled
    return list(zip(scores_and_slopes(policy, batch), wanted, strict=True))


@pytest.mark.parametrize(("followed", "packed"), [(False, False), (False, True), (True, False)])
def test_leaving_the_rest_out_changes_neither_scores_nor_gradients(
    policy: Policy, followed: bool, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "WORTHWHILE", 1e9)  # toys too
    policy = tiny(policy.family) if followed else policy  # hooks that stay
    batch = rows_of(policy, packed)
    if followed:
        follow_places(policy.model)
    for one, other in both_ways(policy, batch, monkeypatch):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", [Family.text, Family.qwen3_vl, Family.mllama])
@pytest.mark.parametrize("packed", [False, True])
def test_adapters_learn_the_same(
    family: Family, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(packing, "WORTHWHILE", 1e9)
    policy = adapted(tiny(family))
    found = both_ways(policy, rows_of(policy, packed), monkeypatch)
    assert len(found) == 1 + 2 * 2 * 7  # two layers of seven linear maps, two matrices each
    for one, other in found:
        scale = float(other.abs().max())
        assert scale > 0
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("family", [Family.qwen3, Family.mllama])
def test_in_16_bits_the_gradient_is_that_of_the_whole_layer_but_for_rounding(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny(family)
    policy.model.to(torch.bfloat16)
    (scores, plain), *slopes = both_ways(policy, rows_of(policy), monkeypatch)
    torch.testing.assert_close(scores, plain, rtol=0, atol=0.05)
    for one, other in slopes:
        assert (one - other).float().norm() <= 0.03 * other.float().norm()


def test_nothing_stays_behind() -> None:
    policy = tiny(Family.text)
    batch = rows_of(policy)
    ids_read_by_feed_forward(policy, batch)
    logits = policy.model(input_ids=batch.input_ids).logits
    assert logits.abs().amax(-1).min() > 0  # nowhere left out
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in policy.model.modules())
