"""Sampling answers to prompts: one call, every prompt answered once.

Plain `transformers.generate` is the slow reference; tests show equal log-probabilities and equal
greedy answers. `Engine` is what conversations of many turns use.
"""

from collections.abc import Callable, Sequence

from .chat import Prompt
from .config import SamplingConfig
from .engine import Engine
from .policy import Policy
from .types import Completion, StreamKey

__all__ = ["SamplingConfig", "generate"]


def generate(
    policy: Policy,
    prompts: Sequence[Prompt],
    streams: Sequence[StreamKey],
    sampling: SamplingConfig,
    *,
    max_rows: int | None = None,
    on_tokens: Callable[[int], None] | None = None,
) -> list[Completion]:
    """One completion per prompt, in order; row i draws from streams[i] alone.

    max_rows: rows decoded at once; others take the places of those that end. None: the policy's.
    on_tokens: told how many tokens each step drew.
    The model's train/eval mode is put back. Raises ValueError if prompts and streams differ in
    number or a prompt leaves no room for `max_new_tokens`.
    """
    if len(prompts) != len(streams):
        raise ValueError(f"each prompt must have a stream; got {len(prompts)} and {len(streams)}")
    engine: Engine[int] = Engine(
        policy, sampling, num_rows=max_rows or policy.max_rows, on_tokens=on_tokens
    )
    # Equal prompts side by side: they are in the cache together and leave it together.
    for i in sorted(range(len(prompts)), key=lambda i: (len(prompts[i].ids), prompts[i].ids)):
        engine.submit(i, prompts[i], streams[i])
    completions: dict[int, Completion] = {}
    while len(completions) < len(prompts):
        for ticket, completion in engine.advance():
            completions[ticket] = completion
            engine.release(ticket)
    return [completions[i] for i in range(len(prompts))]
