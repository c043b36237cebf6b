"""The last layer computes what is wanted, and that is what the whole layer would have given."""

import pytest
import torch
from cardinal_gym.agents import last_layer
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.last_layer import follow_places
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Batch, Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import tiny
from toy import observation, picture

SCORED = 3  # ids of each row


def rows_of(policy: Policy) -> Batch:
    rows = []
    for i in range(2):
        image = None if policy.vision is None else picture(i)
        prompt = encode_first(policy, observation("target 24" + " cards" * i, image))
        ids = [*prompt.ids, 20, 21, 22]
        mask = [0] * len(prompt.ids) + [1] * SCORED
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    return collate(policy, rows)


def scores_and_slopes(policy: Policy, batch: Batch) -> list[torch.Tensor]:
    policy.model.zero_grad()
    found = token_logprobs(policy, batch)
    found.sum().backward()
    slopes = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
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


@pytest.mark.parametrize("family", [Family.text, Family.qwen_vl, Family.mllama])
@pytest.mark.parametrize("followed", [False, True])
def test_leaving_the_rest_out_changes_neither_scores_nor_gradients(
    family: Family, followed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny(family)
    batch = rows_of(policy)
    with monkeypatch.context() as whole:
        whole.setattr(last_layer, "WORTHWHILE", 0.0)  # nothing is left out
        wanted = scores_and_slopes(policy, batch)
        assert ids_read_by_feed_forward(policy, batch) == batch.input_ids.numel()
    if followed:
        follow_places(policy.model)
    assert ids_read_by_feed_forward(policy, batch) == 2 * SCORED
    for one, other in zip(scores_and_slopes(policy, batch), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_nothing_stays_behind() -> None:
    policy = tiny(Family.text)
    batch = rows_of(policy)
    ids_read_by_feed_forward(policy, batch)
    logits = policy.model(input_ids=batch.input_ids).logits
    assert logits.abs().amax(-1).min() > 0  # nowhere left out
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in policy.model.modules())
