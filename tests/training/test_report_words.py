"""Names and numbers as a report prints them."""

import pytest
from cardinal_gym.training.report import words
from cardinal_gym.training.statistics import wilson


@pytest.mark.parametrize(
    ("shift", "title", "phrase"),
    [
        ({"rule": "faces_as_ranks"}, "Unseen rule: faces as ranks", "with faces as ranks"),
        ({"visual": {"name": "neon"}}, "Unseen look: neon", "with neon"),
        ({"visual": "red_suits", "rule": "sevens"}, "Unseen rule and look: sevens and red suits",
         "with sevens and red suits"),
        ({"num_cards": 5}, "Shifted: num cards 5", "with num cards 5"),
        ({"rule": "relative"}, "Unseen rule: relative directions", "with relative directions"),
        ({"rule": "relative", "wording": "matching"},
         "Unseen rule: relative directions, matching words",
         "with relative directions in matching words"),
        ({"rule": "relative", "wording": "other"}, "Unseen rule: relative directions, other words",
         "with relative directions in other words"),
        ({"wording": "other"}, "Unseen wording: other words", "with the route in other words"),
        ({"look": "winter"}, "Unseen look: winter", "with the winter look"),
        ({"look": "neon", "rule": "relative"},
         "Unseen rule and look: relative directions and neon",
         "with relative directions and the neon look"),
        ({"city": {"seed": 1}}, "Unseen city: another city", "with another city"),
        (None, "Far away", "on “far away”"),
    ],
)  # fmt: skip
def test_a_cell_is_named_by_what_it_shifts(shift: dict | None, title: str, phrase: str) -> None:
    named = words.cell_words("far_away", shift)
    assert (named.title, named.phrase) == (title, phrase)


def test_numbers_are_printed_with_true_signs() -> None:
    assert words.points(-0.0934) == "−9.3 points"
    assert words.points(0.0002) == "±0.0 points"
    assert words.scaled(1.03e13, "FLOP") == "10.3 TFLOP"
    assert words.grouped(12345) == "12\u202f345"


def test_sizes_are_told_once_or_as_a_range() -> None:
    rates = [wilson(1, n, num_tasks=n // 2) for n in (40, 40, 80, 2000)]
    assert words.sample_sizes(rates[:2]) == "n = 40, 20 tasks"
    assert words.sample_sizes(rates[:3]) == "n = 40, 20 tasks / n = 80, 40 tasks"
    assert words.sample_sizes(rates) == "n = 40–2\u202f000, 20–1\u202f000 tasks"
    assert words.rate_words(wilson(1, 2)) == "50.0% [9.5, 90.5]"
