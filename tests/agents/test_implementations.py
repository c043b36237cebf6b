"""An attention that cannot be had is told in one line, before a policy is loaded."""

import importlib.util

import pytest
import torch
from cardinal_gym.agents.config import BuildConfig, Dtype, PolicyConfig
from cardinal_gym.agents.implementations import check_attention
from cardinal_gym.agents.policy import load_policy

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TINY = BuildConfig(hidden_size=32, num_layers=1, num_heads=2)


def asked(name: str, dtype: Dtype = Dtype.bfloat16) -> PolicyConfig:
    return PolicyConfig(name="p", build=TINY, device="cpu", dtype=dtype, attn_implementation=name)


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_what_torch_brings_is_loaded(name: str) -> None:
    assert load_policy(asked(name)).model.config._attn_implementation == name


def test_flash_attention_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match=r"must be sdpa or eager on cpu; got flash_attention_2$"):
        load_policy(asked("flash_attention_2"))


@pytest.mark.parametrize("name", ["flash_attention_2", "flash_attention_3"])
def test_flash_attention_needs_its_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=rf"without the package flash_attn\w*; got {name}: inst"):
        check_attention(asked(name), CUDA)
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: object())
    check_attention(asked(name), CUDA)


def test_flash_attention_needs_16_bits() -> None:
    with pytest.raises(ValueError, match=r"dtype must be bfloat16 with flash_attention_2; got fl"):
        check_attention(asked("flash_attention_2", Dtype.float32), CUDA)


def test_a_misspelt_attention_is_told_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"must be one of eager, sdpa, .*; got flash$"):
        load_policy(asked("flash"))
    check_attention(asked("kernels-community/flash-attn"), CPU)
