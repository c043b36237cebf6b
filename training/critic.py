"""The value head of PPO: how much an episode will still earn, read off the policy's hidden state.

Source: the released trainer of *SFT Memorizes, RL Generalizes* (arXiv 2501.17161): a perceptron on
the last hidden state before the answer, trained together with the policy it shares its body with.
Departures: the last layer starts at zero, so that first values are 0 instead of noise; the head
computes in fp32 whatever the policy's format.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..agents.policy import Policy


class ValueHead(nn.Module):
    """A perceptron with ReLUs from a hidden state to a number.

    seed: of its weights; every process makes the same head.
    """

    def __init__(self, input_size: int, hidden_sizes: Sequence[int], *, seed: int) -> None:
        super().__init__()
        sizes = [input_size, *hidden_sizes, 1]
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for inputs, outputs in pairwise(sizes):
                layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        last = layers[-2]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, states: Tensor) -> Tensor:
        """[..., D] -> [...], fp32."""
        value: Tensor = self.layers(states.float())
        return value[..., 0]


def value_head_of(policy: Policy, hidden_sizes: Sequence[int], *, seed: int) -> ValueHead:
    """A head that fits a policy's hidden states, on its device."""
    width = policy.model.config.get_text_config().hidden_size
    return ValueHead(width, hidden_sizes, seed=seed).to(policy.device)


def token_values(head: ValueHead, states: Tensor, mask: Tensor, *, detach: bool) -> Tensor:
    """At t the value of the state in which token t was sampled; 0 where mask is 0. [B, T]

    states: of the last layer [B, T, D]; token t was sampled from the state at t - 1.
    """
    chosen = mask[:, 1:] > 0  # [B, T - 1]
    before = states[:, :-1][chosen]  # [n, D]
    found = head(before.detach() if detach else before)
    grid = torch.zeros(chosen.shape, dtype=found.dtype, device=found.device)
    return nn.functional.pad(grid.masked_scatter(chosen, found), (1, 0))
