"""How a report speaks of a game: hands of cards, or walks through a city."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..statistics import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class GameWords:
    """metrics, definitions: by name of a metric: on a button, and as a sentence.

    read: recognition, beside a rate.  read_heading, read_note, read_axis, read_spoken: of its
    figure.  alike: which episodes are of one task.  units: what is one observation, in the plural.
    """

    metrics: Mapping[str, str]
    definitions: Mapping[str, str]
    read: str
    read_heading: str
    read_note: str
    read_axis: str
    read_spoken: str
    alike: str
    units: Mapping[Cluster, str]

    def metric(self, name: str) -> str:
        return self.metrics.get(name, name.replace("_", " "))


CARDS = GameWords(
    metrics={
        "success_within_turns": "Success within all turns",
        "greedy_single": "One greedy answer",
        "sampled_single": "One sampled answer",
    },
    definitions={
        "success_within_turns": "an episode counts as solved if any of its sampled answers is "
        "right, with the environment's feedback in between (the study's own metric).",
        "greedy_single": "one answer, the most likely one.",
        "sampled_single": "the first sampled answer alone.",
    },
    read="cards read",
    read_heading="Reading the cards, solving the hand",
    read_note="Recognition: the cards named in the last answer are the cards in the picture.",
    read_axis="share of episodes: ○ cards read rightly, ● hand solved",
    read_spoken="Cards read rightly and hands solved, per arm and cell.",
    alike="Episodes that deal the same hand",
    units={Cluster.hand: "hands", Cluster.task: "hands with their targets"},
)
WALKS = GameWords(
    metrics={
        "success_within_turns": "Success within all attempts",
        "greedy_single": "No wrong step, greedy",
        "sampled_single": "No wrong step, sampled",
    },
    definitions={
        "success_within_turns": "a walk counts as solved if it ends at its destination; after a "
        "wrong step the policy is told so and may try again at the same place, as often as the "
        "environment allows.",
        "greedy_single": "a walk counts as solved if every step, the most likely answer at each "
        "place, is right; the first wrong one ends it.",
        "sampled_single": "a walk counts as solved if every sampled step is right; the first wrong "
        "one ends it.",
    },
    read="streets read",
    read_heading="Reading the street, walking the route",
    read_note="Recognition: in every answer of a walk, landmark and intersection were told as the "
    "picture shows them. One misread picture is enough to lose it, and longer walks have more.",
    read_axis="share of walks: ○ every picture read rightly, ● destination reached",
    read_spoken="Walks with every picture read rightly and walks solved, per arm and cell.",
    alike="Episodes that walk the same route",
    units={Cluster.hand: "routes", Cluster.task: "routes"},
)


def game_of(env_id: str) -> GameWords:
    """Of an environment's id."""
    return WALKS if "StreetNav" in env_id else CARDS
