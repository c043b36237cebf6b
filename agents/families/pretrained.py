"""The pretrained policies that `conf/policy` names: their true shapes, without their weights.

`named/<policy>.json` holds what shapes a model and its pictures, taken from the hub's config.json
and preprocessor_config.json, and the parameter count that the hub tells. So a run can be planned,
and a family tested at full size, without a download.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from . import family_of

_FOLDER = files(__package__) / "named"


@dataclass(frozen=True, slots=True)
class Pretrained:
    """One named policy.

    hub: its name on the hub. num_parameters: as told there.
    config: of the model. processor: settings of the image processor; None for text.
    """

    hub: str
    num_parameters: int
    config: PreTrainedConfig
    processor: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many parameters a model has, by part; tied weights count once.

    embedding: of ids. language: the layers between embedding and head. head: 0 if it is tied.
    vision: the tower and its projector.
    """

    embedding: int
    language: int
    head: int
    vision: int

    @property
    def total(self) -> int:
        return self.embedding + self.language + self.head + self.vision


def pretrained_names() -> list[str]:
    """The policies whose shapes are kept here."""
    return sorted(f.name.removesuffix(".json") for f in _FOLDER.iterdir())


def pretrained(name: str) -> Pretrained:
    """One of them; ValueError for a name that is not."""
    if name not in pretrained_names():
        raise ValueError(f"policy must be one of {', '.join(pretrained_names())}; got {name!r}")
    told = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    config = AutoConfig.for_model(**told["config"])
    return Pretrained(told["hub"], told["parameters"], config, told["processor"])


def without_weights(config: PreTrainedConfig) -> PreTrainedModel:
    """The model of a configuration on the meta device: every shape, no memory."""
    auto = family_of(config.model_type).auto_class
    with torch.device("meta"):
        model: PreTrainedModel = auto.from_config(config)
    return model


def parameters(config: PreTrainedConfig) -> Parameters:
    """How many parameters the model of a configuration has."""
    return parameters_of(without_weights(config))


def parameters_of(model: Any) -> Parameters:
    """How many parameters a model has, on whatever device."""
    whole = _count(model)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    decoder = model.get_decoder()
    inside = _count(decoder)  # with the embedding
    head_alone = 0 if head.weight is embedding.weight else _count(head)
    return Parameters(
        embedding=_count(embedding),
        language=inside - _count(embedding),
        head=head_alone,
        vision=whole - inside - head_alone,
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
