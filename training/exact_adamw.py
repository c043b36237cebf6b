"""AdamW for weights of 16 bits: it steps copies of 32 bits, and rounds them into the weights.

bfloat16 has eight significant bits, so that an update below 0.2 to 0.4 % of a weight is rounded
away: at the learning rates of RL, 1e-6 or so, hardly any weight would ever move, and moments of
such numbers would not either. Source: *Mixed Precision Training* (arXiv 1710.03740, section 3.1).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

COPY = "weights"  # in the state of a parameter, beside the moments


def is_coarse(parameter: torch.Tensor) -> bool:
    """Whether it has 16 bits or fewer."""
    return parameter.element_size() < 4


class ExactAdamW:
    """Steps `parameters`, of any dtype, as `torch.optim.AdamW` steps weights in fp32.

    Copies are made at the first step, or read from a checkpoint; 32 bits or more need none.
    settings: those of AdamW. param_groups: one, whose `lr` the next step takes.
    Memory: 12 bytes per parameter for copies and moments, and 4 for gradients while it steps.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], **settings: Any) -> None:
        self._parameters = list(parameters)
        self._settings = settings
        self._copies: list[torch.Tensor] = []
        self._inner: torch.optim.AdamW | None = None
        self.param_groups: list[dict[str, Any]] = [{"lr": settings["lr"]}]

    @torch.no_grad()
    def step(self) -> None:
        """One update from the parameters' gradients, which are used up."""
        inner = self._begun()
        inner.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        for copy, parameter in self._pairs():
            copy.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        inner.step()
        for copy, parameter in self._pairs():
            copy.grad = None
            parameter.copy_(copy)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self._parameters:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """As AdamW's, with the copies beside the moments."""
        found = self._begun().state_dict()
        state = {place: dict(values) for place, values in found["state"].items()}
        for place, values in state.items():
            if self._copies[place] is not self._parameters[place]:
                values[COPY] = self._copies[place]
        return {**found, "state": state}

    @torch.no_grad()
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """What `state_dict` gave; without copies, as in older checkpoints, from the weights."""
        inner = self._begun()
        state = {place: dict(values) for place, values in saved["state"].items()}
        for place, parameter in enumerate(self._parameters):
            exact = state.get(place, {}).pop(COPY, None)
            if self._copies[place] is not parameter:
                self._copies[place].copy_(parameter if exact is None else exact)
        inner.load_state_dict({**saved, "state": state})

    def _begun(self) -> torch.optim.AdamW:
        if self._inner is None:
            self._copies = [p.detach().float() if is_coarse(p) else p for p in self._parameters]
            self._inner = torch.optim.AdamW(self._copies, **self._settings)
        return self._inner

    def _pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Copies and parameters, of those that are not their own copy."""
        both = zip(self._copies, self._parameters, strict=True)
        return [(copy, parameter) for copy, parameter in both if copy is not parameter]
