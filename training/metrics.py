"""What a run measures: defined names, a log that survives kills, compute ledgers.

`metrics.jsonl` holds only what a repetition reproduces bit for bit; wall-clock and CPU times go to
`timings.jsonl`. A checkpoint stores `MetricsLog.offset`, and a resumed run calls `truncate` with
it, so that its file ends equal to that of a run that was never interrupted.
"""

import dataclasses
import fnmatch
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import disk_full_error, plain, write_all

logger = logging.getLogger(__name__)

# Fields that say what a line is about. They are no metrics.
CONTEXT_FIELDS = ("kind", "step", "stage", "arm", "suite", "policy", "seed")

# Every metric that may be logged, by name or by pattern (`*` matches any text).
METRICS: dict[str, str] = {
    "loss": "objective of this update, averaged over all tokens it trains on",
    "lr": "learning rate of this update",
    "grad_norm": "norm of the whole gradient before clipping",
    "token_accuracy": "share of imitated tokens than which none was likelier, before the update",
    "reward/mean": "mean episode return",
    "reward/std": "standard deviation of the episode return over all episodes of the step",
    "reward/shaped": "mean episode return after rewards for length, as it is trained on",
    "reward/model": "mean score of last answers by the reward model that pays them",
    "reward/rule": "mean of what the environment would have paid for the same answers",
    "reward/*": "mean of the last answer's reward term of that name",
    "advantage/mean": "mean advantage of the tokens that are trained on",
    "advantage/std": "standard deviation of the advantages of the tokens that are trained on",
    "success": "share of episodes that ended solved",
    "success/first_turn": "share of episodes solved by the first answer",
    "recognition": "share of pictures about which a vision warm-up answers every question rightly",
    "entropy": "mean entropy of the policy at sampled tokens, nats",
    "ratio/mean": "mean of new over old probability at trained tokens",
    "ratio/max": "largest of new over old probability at trained tokens",
    "clip_fraction": "share of trained tokens whose ratio was clipped",
    "sampler_gap/mean": "mean |log-probability of the trainer - of the sampler| at trained tokens",
    "sampler_gap/max": "largest |log-probability by trainer - by sampler| at trained tokens",
    "sampler_weight/mean": "mean weight w of trained tokens against the sampler's mismatch",
    "dpo/margin": "mean of how much more the policy prefers right answers than the reference",
    "dpo/accuracy": "share of pairs whose right answer gained more than the wrong one",
    "judge/accuracy": "share of answers that the reward model judges as the rule does",
    "judge/auc": "how often a right answer scores above a wrong one, ties half; if there are both",
    "judge/gap": "mean score of the reward model less the share of right answers",
    "judge/paid_wrong": "share of wrong answers that the reward model takes for right",
    "judge/refused_right": "share of right answers that the reward model takes for wrong",
    "value/loss": "half the mean squared error of the critic at the values it fits",
    "value/mean": "mean value of the critic before the update, at the values it fits",
    "value/explained_variance": "1 - variance of (target - value) / variance of the targets",
    "kl": "mean estimate of KL(policy | reference) at trained tokens, nats",
    "groups/zero_variance": "groups whose returns are equal, or gated",
    "groups/total": "groups sampled",
    "episodes": "episodes finished so far",
    "episodes/mean_turns": "mean number of answers of an episode",
    "episodes/truncated": "share of episodes that the game did not end: no turn or no context left",
    "episodes/context_limit": "share of episodes that ended because the context was full",
    "episodes/mean_tokens": "mean number of tokens sampled in an episode",
    "episodes/mean_tokens_right": "the same over solved episodes; absent where there is none",
    "episodes/mean_tokens_wrong": "the same over episodes not solved; absent where there is none",
    "tools/calls": "mean number of calls of tools in an episode, those within their budgets",
    "tools/episodes": "share of episodes with such a call",
    "tools/errors": "mean number of calls that told nothing: not readable, or beyond the budget",
    "completions/length_limit": "share of answers cut at the token limit",
    "outcome/*": "share of episodes whose last answer had this outcome",
    "tokens/train": "tokens passed through forward and backward so far",
    "tokens/sampled": "tokens sampled so far",
    "tokens/prompt": "prompt tokens read while sampling so far",
    "flops": "6 N tokens/train + 2 N tokens/sampled so far, N parameters (the study's formula), "
    "and 2 N for each token that a reward model read or wrote",
    "env_steps": "environment steps so far",
    "updates": "optimizer steps so far",
    "updates/skipped": "1 if this update was skipped because its gradient was not finite",
    "epoch": "passes over a file of demonstrations, or over the pairs of DPO, so far",
    "eval/*": "rate of a metric on a cell, or what is named after these (trackers only)",
    "cpu_s": "CPU seconds of this process, all threads, in this step (timings only)",
    "wall_s": "seconds that this step took (timings only)",
    "time/*": "seconds that this part of the step took (timings only)",
    "memory/peak_mib": "most MiB in use so far, of the accelerator or the process (timings only)",
    "tokens_per_s": "sampled and trained tokens of the step per second (timings only)",
}


def define_metric(name: str, definition: str) -> None:
    """Add a metric (or a pattern with `*`); redefining one differently is a ValueError."""
    if METRICS.setdefault(name, definition) != definition:
        raise ValueError(f"metric must have one definition; got a second one for {name!r}")


def definition_of(name: str) -> str | None:
    """The definition of a metric: of its exact name, else of the longest pattern that matches."""
    if name in METRICS:
        return METRICS[name]
    patterns = [key for key in METRICS if "*" in key and fnmatch.fnmatchcase(name, key)]
    return METRICS[max(patterns, key=len)] if patterns else None


class MetricsLog:
    """Append-only JSON lines, each written at once.

    A kill may still tear the last one (Linux ends a write between two pages of the file), as may a
    power cut: `read_jsonl` leaves such a line out, and opening the log again removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = _end_of_last_line(self._fd)
        os.ftruncate(self._fd, self._size)

    def log(self, values: Mapping[str, Any]) -> None:
        """Append one line. `step` is required; other names must be metrics or context fields.

        Values are plain or scalar tensors; a number that is not finite is written as null, with a
        warning. Raises ValueError for an undefined name, OSError in one line on a full disk.
        """
        if "step" not in values:
            raise ValueError(f"a metrics line must have a step; got {sorted(values)}")
        undefined = [n for n in values if n not in CONTEXT_FIELDS and definition_of(n) is None]
        if undefined:
            raise ValueError(f"metric must be defined in METRICS; got {', '.join(undefined)}")
        line = json.dumps({name: _finite(name, value) for name, value in values.items()})
        data = line.encode("utf-8") + b"\n"
        try:
            write_all(self._fd, data)
        except OSError as error:
            os.ftruncate(self._fd, self._size)  # shrinking needs no space
            raise disk_full_error(error, self.path) or error from error
        self._size += len(data)

    @property
    def offset(self) -> int:
        """Bytes written, made durable: to be stored in a checkpoint."""
        os.fsync(self._fd)
        return self._size

    def truncate(self, offset: int) -> None:
        """Forget what was logged after a checkpoint that stored `offset`."""
        at_line_end = offset == 0 or os.pread(self._fd, 1, max(offset - 1, 0)) == b"\n"
        if not 0 <= offset <= self._size or not at_line_end:
            raise ValueError(
                f"offset must end a line of {self.path} ({self._size} bytes); got {offset}"
            )
        os.ftruncate(self._fd, offset)
        self._size = offset

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file, without a torn last one; none if the file does not exist.

    Raises ValueError naming the line if another line is damaged.
    """
    path = Path(path)
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):  # no newline after it
                break
            raise ValueError(f"{path} line {number} must be JSON; got {line[:60]!r}") from error
    return rows


def cpu_s_until(timings: Path, step: int, **context: Any) -> float:
    """CPU seconds of the steps up to `step`, from the `cpu_s` of each in timings.jsonl.

    A step that was repeated after a kill counts once, by its last line: with this, a resumed run
    goes on counting where its checkpoint stands. `context`: only lines with these fields.
    """
    by_step = {
        row["step"]: float(row["cpu_s"])
        for row in read_jsonl(timings)
        if row["step"] <= step and "cpu_s" in row and context.items() <= row.items()
    }
    return math.fsum(by_step.values())


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What a stage has spent so far.

    num_parameters: N of the study's formula, all parameters of the policy.
    judge_flops: of reward models, which may have another N and mostly read.

    `cpu_s` differs between repetitions: it stands in `timings.jsonl`, neither in `asdict` nor in
    checkpoints.
    """

    num_parameters: int = 0
    train_tokens: int = 0  # through forward and backward, counted once per pass
    sampled_tokens: int = 0
    prompt_tokens: int = 0  # read while sampling; the study's formula leaves them out
    env_steps: int = 0
    episodes: int = 0
    updates: int = 0
    judge_flops: int = 0
    cpu_s: float = dataclasses.field(default=0.0, compare=False)

    @property
    def num_tokens(self) -> int:
        """Trained and sampled ones."""
        return self.train_tokens + self.sampled_tokens

    def flops(self) -> int:
        """X = 6 N train_tokens + 2 N sampled_tokens: the study's compute, and judges'."""
        own = self.num_parameters * (6 * self.train_tokens + 2 * self.sampled_tokens)
        return own + self.judge_flops

    def add(self, **counts: int) -> None:
        """Add to counters by name; ValueError for unknown names and negative counts."""
        known = [name for name in self.asdict() if name != "num_parameters"]
        for name, count in counts.items():
            if name not in known:
                raise ValueError(f"counter must be one of {', '.join(known)}; got {name}")
            if count < 0:
                raise ValueError(f"{name} must grow; got {count}")
            setattr(self, name, getattr(self, name) + int(count))

    @contextmanager
    def counting_cpu(self) -> Iterator[None]:
        """Add the CPU time of this process, all threads, that the block takes."""
        start = time.process_time()
        try:
            yield
        finally:
            self.cpu_s += time.process_time() - start

    def as_metrics(self) -> dict[str, int]:
        """The counters under their metric names."""
        return {
            "tokens/train": self.train_tokens,
            "tokens/sampled": self.sampled_tokens,
            "tokens/prompt": self.prompt_tokens,
            "flops": self.flops(),
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "updates": self.updates,
        }

    def asdict(self) -> dict[str, int]:
        """The counters that a repetition reproduces."""
        names = (each.name for each in dataclasses.fields(self) if each.name != "cpu_s")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, counts: Mapping[str, int], cpu_s: float = 0.0) -> "Ledger":
        return cls(**counts, cpu_s=cpu_s)


def _finite(name: str, value: Any) -> Any:
    value = plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        logger.warning("metric %s is %s", name, value)
        return None
    return value


def _end_of_last_line(fd: int) -> int:
    """Offset after the last newline; 0 if there is none."""
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - 65_536)
        position = os.pread(fd, end - start, start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0
