"""Compiled blocks train as they were written, and sampling does not compile."""

import shutil
from pathlib import Path

import pytest
import torch
from cardinal_gym.agents import compiled
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.compiled import COMPILERS, compile_blocks, is_compiled
from cardinal_gym.agents.config import Family, LoraConfig, PolicyConfig, SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import tiny
from toy import observation, picture, streams


def gradients(
    policy: Policy, num_rows: int, share: bool = False
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    rows, size = [], 4 if share else 12
    for i in range(num_rows):
        image = None if policy.vision is None else picture(i % 2 if share else i)
        said = " cards" * (40 if share else i)
        prompt = encode_first(policy, observation("target 24" + said, image))
        ids, mask = [*prompt.ids, *[20, 21] * size], [0] * len(prompt.ids) + [1] * 2 * size
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    policy.model.zero_grad()
    batch = collate(policy, rows, share_prompts=share)
    assert (batch.packed is not None) is share
    logp = token_logprobs(policy, batch)
    logp.sum().backward()
    found = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
    return logp.detach(), found


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
@pytest.mark.parametrize("family", [Family.text, Family.qwen_vl])
def test_compiled_blocks_have_the_same_gradients(family: Family) -> None:
    policy, plain = tiny(family), tiny(family)
    compile_blocks(policy.model)
    prompt = encode_first(policy, observation("target 24"))
    sampling = SamplingConfig(max_new_tokens=3)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    (answer,) = generate(policy, [prompt], streams(1), sampling)
    assert answer == generate(plain, [prompt], streams(1), sampling)[0]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
    graphs = []
    for num_rows, share in ((2, False), (3, False), (5, False), (6, True), (8, True), (4, False)):
        (found, slopes), (wanted, straight) = (
            gradients(policy, num_rows, share),
            gradients(plain, num_rows, share),
        )
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        for one, other in zip(slopes, straight, strict=True):
            scale = float(other.abs().max()) + 1e-3
            torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4 * scale)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert before < graphs[0] == graphs[1] == graphs[2]  # one code for batches of all sizes
    assert graphs[3] == graphs[4] == graphs[5]  # and one for those that share prompts


def test_all_blocks_are_compiled_if_asked(tmp_path: Path) -> None:
    tiny(Family.text).save(tmp_path)
    plain = PolicyConfig(name="p", path=str(tmp_path), device="cpu")
    assert not is_compiled(load_policy(plain).model)
    asked = PolicyConfig(name="p", path=str(tmp_path), device="cpu", compile=True)
    for block in load_policy(asked).model.get_decoder().layers:
        assert block._compiled_call_impl is not None


def test_what_compiling_does_not_go_with_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"gradient_checkpointing must be false with policy.comp"):
        PolicyConfig(name="p", compile=True, gradient_checkpointing=True)
    with pytest.raises(ValueError, match=r"lora.rank must be 0 with policy.compile; got 4"):
        PolicyConfig(name="p", compile=True, lora=LoraConfig(rank=4))
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"compile must be false without a C\+\+ compiler"):
        compile_blocks(tiny(Family.text).model)
