"""How the numbers of a page are made, in its own words: methods, and what its notes say."""

from collections.abc import Sequence

from ..familiar import familiar_note
from ..statistics import MIN_SEEDS, Cluster
from .analysis import TableRow
from .games import CARDS
from .results import Run
from .training_tasks import run_overlap_notes

METHOD = (
    "The unit is the task. {alike} are not independent, so every interval clusters by canonical "
    "id; the number of distinct ids stands beside every n as that of tasks.{unit}",
    "Rates: Wilson's interval at the effective sample size (n divided by the design effect), with "
    "Student's quantile. Differences: paired on the same episodes of the same training seed, by a "
    "bootstrap over tasks and, from three seeds on, over training seeds; degrees of freedom are "
    "the number of seeds less one. With fewer seeds an interval speaks of these policies only.",
    "Outcomes: the same intervals. Where a run kept no outcome per episode, those of wrong answers "
    "are Wilson's and take episodes as independent.",
    "p-values are two-sided. Holm's are corrected over the cells on which one metric compares a "
    "pair of arms; a difference is called clear, and drawn filled or bold, where its own interval "
    "excludes zero and Holm's p is below 0.05. Intervals themselves are not widened.",
    "McNemar's test asks about the policies at hand and not about training: exact, by task, over "
    "all signs that the tasks' sums of differences could have had.",
    "What a comparison sees: the smallest true difference that data with this spread show with 80% "
    "power at the 5% level, before any correction. More tasks shrink what comes of tasks, more "
    "seeds what comes of seeds.",
    "Curves pool the training seeds' checkpoints by their order.",
)
UNIT_NOTES = {
    Cluster.hand: "Tasks are distinct hands, whatever their targets.",
    Cluster.task: "Tasks are distinct hands with their targets.",
}
STEP_METHOD = (
    "Accuracy per step: right answers of all walks over all their answers, a ratio of sums. The "
    "same intervals and paired differences, at the linearised ratio's variance, because walks "
    "differ in length."
)
WORDING_NOTES = {
    "matching": "in matching words, the description uses the words of the actions alone",
    "other": "in other words, only those of the other kind of directions, so that the policy must "
    "convert by its heading",
}


def interval_note(rows: Sequence[TableRow]) -> str:
    """Whom the table's intervals speak of."""
    seeds = {rate.num_seeds for row in rows for rate in row.rates.values()}
    if seeds and min(seeds) >= MIN_SEEDS:
        return "They span tasks and training seeds."
    return "They span tasks, not training seeds."


def cell_note(run: Run) -> str:
    """What the wordings of routes are, where cells differ in them, and what was seen in training:
    rules and looks by a base, tasks by any stage."""
    wordings = {str(run.shifts.get(cell, {}).get("wording")) for cell in run.cells}
    told = [text for wording, text in WORDING_NOTES.items() if wording in wordings]
    notes = [f"Routes: {'; '.join(told)}."] if told else []
    overlap, _ = run_overlap_notes(run)
    return " ".join([*notes, *filter(None, [unit_note(run), familiar_note(run.config)]), *overlap])


def told(run: Run, rows: Sequence[TableRow]) -> list[str]:
    """How the intervals are made, in the game's words."""
    steps = [STEP_METHOD] if any(row.steps for row in rows) else []
    unit, *others = METHOD
    named = f" {unit_note(run)}" if unit_note(run) else ""
    return [unit.format(alike=run.game.alike, unit=named), *others, *steps]


def unit_note(run: Run) -> str:
    """What tasks are counted by, where a hand of cards may have come with several targets."""
    if run.game is not CARDS:
        return ""
    return UNIT_NOTES[run.cluster]
