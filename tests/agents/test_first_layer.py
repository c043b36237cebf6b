"""The first layer projects every id once, and that is what every place would have given."""

import pytest
import torch
from cardinal_gym.agents import first_layer
from cardinal_gym.agents.adapters import recompute_activations
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.first_layer import follow_occurrences
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Batch, Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import SEEING, adapted, tiny
from toy import observation, picture


def batch_of(policy: Policy, with_pictures: bool = False, same: bool = False) -> Batch:
    """same: the prompts are alike, so that rows may share them."""
    rows = []
    for i in range(3):
        image = picture(i) if with_pictures else None
        prompt = encode_first(
            policy, observation("target 24" + " cards" * (0 if same else i), image)
        )
        ids = [*prompt.ids, *range(20, 60 + i), *range(20, 50)]
        mask = [0] * len(prompt.ids) + [1] * (len(ids) - len(prompt.ids))
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    return collate(policy, rows, share_prompts=same)


def scores_and_slopes(policy: Policy, batch: Batch) -> dict[str, torch.Tensor]:
    policy.model.zero_grad()
    found = token_logprobs(policy, batch)
    found.sum().backward()
    slopes = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    return {"scores": found.detach(), **slopes}


def rows_projected(policy: Policy, batch: Batch) -> list[int]:
    """How many rows queries, keys and values of the first layer were made from."""
    read = []
    attention = policy.model.get_decoder().layers[0].self_attn
    handles = [
        getattr(attention, name).register_forward_hook(
            lambda _, given, found: read.append(given[0].numel() // given[0].shape[-1])
        )
        for name in first_layer.PROJECTIONS
    ]
    with torch.no_grad():
        token_logprobs(policy, batch)
    for handle in handles:
        handle.remove()
    return read


def both_ways(
    policy: Policy, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Scores and gradients with every id projected once, and with every place projected."""
    ids = batch.input_ids if batch.packed is None else batch.packed.input_ids
    with monkeypatch.context() as everywhere:
        everywhere.setattr(first_layer, "WORTHWHILE", 0.0)
        wanted = scores_and_slopes(policy, batch)
        assert rows_projected(policy, batch) == 3 * [ids.numel()]
    assert rows_projected(policy, batch) == 3 * [len(ids.unique())]
    found = scores_and_slopes(policy, batch)
    assert found.keys() == wanted.keys()
    return found, wanted


@pytest.mark.parametrize("family", [Family.text, Family.qwen3, Family.qwen_vl, Family.mllama])
@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_projecting_once_changes_neither_scores_nor_gradients(
    family: Family, followed: bool, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny(family)
    batch = batch_of(policy, same=same)
    if followed:
        follow_occurrences(policy.model)
    found, wanted = both_ways(policy, batch, monkeypatch)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", [Family.text, Family.qwen3_vl, Family.mllama])
@pytest.mark.parametrize("same", [False, True])
def test_adapters_learn_the_same(
    family: Family, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    policy = adapted(tiny(family))
    found, wanted = both_ways(policy, batch_of(policy, same=same), monkeypatch)
    of_first_layer = [n for n in wanted if "layers.0.self_attn" in n and "lora" in n]
    assert len(of_first_layer) == 8
    for name in of_first_layer:
        assert wanted[name].abs().max() > 1e-2
    assert all("lora" in name for name in wanted if name != "scores")
    for name in wanted:
        scale = float(wanted[name].abs().max())
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("family", [Family.text, Family.qwen3])
@pytest.mark.parametrize("with_adapters", [False, True])
def test_in_16_bits_it_is_as_near_to_32_bits_as_place_by_place(
    family: Family, with_adapters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three ids stand in 600 places each: in 16 bits their gradients would not add up."""

    def batch_for(reader: Policy) -> Batch:
        ids = [20, 21, 22] * 200
        row = Row(ids=ids, mask=[0] * 5 + [1] * 595, logprobs=[0.0] * len(ids))
        return collate(reader, [row] * 3)

    exact, policy = tiny(family), tiny(family)
    policy.model.to(torch.bfloat16)
    exact.load_state_dict({n: p.float() for n, p in policy.state_dict().items()})
    if with_adapters:
        pytest.importorskip("peft")
        exact, policy = adapted(exact), adapted(policy)
    truth = scores_and_slopes(exact, batch_for(exact))
    found, wanted = both_ways(policy, batch_for(policy), monkeypatch)
    assert torch.equal(found["scores"], wanted["scores"])
    for name, true in truth.items():
        once, everywhere = ((x[name].float() - true).norm() for x in (found, wanted))
        assert everywhere < 0.25 * true.norm(), name
        assert once < 1.5 * everywhere + 2**-8 * true.norm(), name  # 16 bits tell no more


@pytest.mark.parametrize("family", SEEING)
def test_every_place_of_a_picture_is_projected(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny(family)
    assert policy.vision is not None
    batch = batch_of(policy, with_pictures=True)
    with monkeypatch.context() as everywhere:
        everywhere.setattr(first_layer, "WORTHWHILE", 0.0)
        wanted = scores_and_slopes(policy, batch)
    monkeypatch.setattr(first_layer, "WORTHWHILE", 0.99)
    of_pictures = batch.input_ids == policy.vision.image_token_id
    assert of_pictures.any()
    others = len(batch.input_ids[~of_pictures].unique())
    assert rows_projected(policy, batch) == 3 * [others + int(of_pictures.sum())]
    found = scores_and_slopes(policy, batch)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


def test_ids_that_hardly_repeat_are_projected_place_by_place() -> None:
    policy = tiny(Family.text)
    row = Row(ids=list(range(10, 40)), mask=[0] * 5 + [1] * 25, logprobs=[0.0] * 30)
    assert rows_projected(policy, collate(policy, [row])) == 3 * [30]


def test_where_activations_are_computed_again_nothing_is_left_out() -> None:
    policy = tiny(Family.text)
    batch = batch_of(policy)
    wanted = scores_and_slopes(policy, batch)
    recompute_activations(policy.model)
    found = scores_and_slopes(policy, batch)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


def test_nothing_stays_behind() -> None:
    policy = tiny(Family.text)
    batch = batch_of(policy)
    rows_projected(policy, batch)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in policy.model.modules())
    follow_occurrences(policy.model)
    with torch.no_grad():
        before = policy.model(input_ids=batch.input_ids).logits
        rows_projected(policy, batch)
        assert torch.equal(policy.model(input_ids=batch.input_ids).logits, before)
