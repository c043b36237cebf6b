"""torchvision is not needed, and used where it is installed: pixels differ by rounding alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from cardinal_gym.agents.config import Family, PolicyConfig
from cardinal_gym.agents.families import FAMILIES, family_of, spec
from cardinal_gym.agents.families.pretrained import pretrained
from cardinal_gym.agents.policy import load_policy
from test_pretrained import IMAGE_IDS
from tinies import SEEING, tiny

GRAY = 1 / 127.5  # one of 255 steps, in pixels of mean and deviation 0.5


def drawn() -> np.ndarray:
    """Flat areas and thin lines, as the games draw them."""
    image = np.full((480, 640, 3), 255, np.uint8)
    image[100:300, 80:240] = (200, 30, 30)
    image[50:430:7, 300:600:5] = 0
    return image


@pytest.mark.parametrize("family", SEEING)
def test_without_torchvision_pillow_resizes(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec, "is_torchvision_available", lambda: False)
    chosen = FAMILIES[family].processor_class
    assert chosen.__name__ == f"{FAMILIES[family].processor}Pil"


@pytest.mark.parametrize("name", sorted(IMAGE_IDS))
def test_torchvision_gives_the_same_picture_but_for_two_steps_of_gray(name: str) -> None:
    pytest.importorskip("torchvision")
    told = pretrained(name)
    kind = family_of(told.config.model_type).processor
    found, wanted = (
        getattr(transformers, f"{kind}{suffix}")(**(told.processor or {}))(
            drawn(), return_tensors="pt", input_data_format="channels_last"
        )
        for suffix in ("", "Pil")
    )
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        bound = 2.1 * GRAY if key == "pixel_values" else 0.0
        one, other = torch.as_tensor(found[key]), torch.as_tensor(value)
        assert one.shape == other.shape
        assert (one.float() - other.float()).abs().max() <= bound, key


@pytest.mark.parametrize("family", SEEING)
def test_a_policy_saved_with_pillows_is_loaded_with_torchvisions(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision")
    with monkeypatch.context() as without:
        without.setattr(spec, "is_torchvision_available", lambda: False)
        policy: Any = tiny(family)
    assert type(policy.vision.processor).__name__.endswith("Pil")
    policy.save(tmp_path)
    again: Any = load_policy(PolicyConfig(name="again", path=str(tmp_path), device="cpu"))
    assert not type(again.vision.processor).__name__.endswith("Pil")
    ids = (policy.vision.image_token_id,)
    assert again.vision.expand(ids, (drawn(),)) == policy.vision.expand(ids, (drawn(),))
