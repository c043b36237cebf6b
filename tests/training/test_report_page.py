"""The page, its slide and the files beside it: self-contained, and no figure without its n."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cardinal_gym.training.report import report, samples, style
from PIL import Image


def test_a_report_is_one_page_with_files_beside_it(five_seeds: Path) -> None:
    folder = five_seeds / "report"
    assert (folder / "index.html").is_file()
    assert (folder / "slide.png").read_bytes().startswith(samples.PNG_MAGIC)
    with (folder / "tables" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["to"] for row in rows} == {"sft", "grpo"}
    assert all(float(row["low"]) <= float(row["difference"]) for row in rows)
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".svg", ".png"}


def test_a_report_is_the_same_every_time(five_seeds: Path) -> None:
    page = five_seeds / "report" / "index.html"
    before = page.read_bytes()
    assert report(five_seeds) == page
    assert page.read_bytes() == before


def test_the_page_names_no_other_address(five_seeds: Path) -> None:
    class Addresses(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                    self.found.append(value or "")

    reader = Addresses()
    reader.feed((five_seeds / "report" / "index.html").read_text())
    assert all(address.startswith(("#", "data:")) for address in reader.found)


def test_every_interval_stands_with_its_n(five_seeds: Path) -> None:
    text = (five_seeds / "report" / "index.html").read_text()
    assert text.count("n = 960, ") >= 2
    tiles = re.findall(r'class="tile-note">([^<]+)<', text)
    assert len(tiles) == 3
    assert all(re.search(r"\[.+\], (p .+, )?n = 960, \d+ tasks, 5 seeds", tile) for tile in tiles)
    assert re.search(r"Base and final: n = 960, .*; before: n = 480, ", text)


def test_every_rate_of_the_tables_has_its_interval(pictures: Path) -> None:
    text = (pictures / "report" / "index.html").read_text()
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text, flags=re.DOTALL)
    with_rate = [cell for cell in cells if "%" in cell]
    assert len(with_rate) > 3 * 3 * 3
    assert all(cell.count("%") == cell.count("[") for cell in with_rate)
    assert text.count('class="read">cards read ') == 3 * 3 * 3  # metrics, cells, arms
    assert "Every share with its interval" in text


def test_every_figure_is_an_svg_and_a_png_and_says_its_n(pictures: Path) -> None:
    figures = pictures / "report" / "figures"
    names = {path.stem for path in figures.glob("*.svg")}
    kinds = {name.partition("_")[0] for name in names}
    assert kinds == {
        "compute", "plane", "grid", "differences", "recognition", "outcomes", "training",
    }  # fmt: skip
    for name in names:
        assert "n = " in (figures / f"{name}.svg").read_text(), name
        with Image.open(figures / f"{name}.png") as picture:
            assert picture.width >= 500, name
            assert picture.getpixel((0, 0))[:3] == (254, 254, 254)  # paper, not glass
    assert {path.stem for path in figures.glob("*.png")} == names


def test_the_slide_says_what_it_is_of(one_seed: Path) -> None:
    report(one_seed)
    text = (one_seed / "report" / "slide.svg").read_text()
    assert re.search(r"Base and final: n = 192, \d+ tasks; before: n = 96, \d+ tasks", text)
    assert "One training seed: the intervals speak of these policies" in text
    assert "n = 192 final episodes are fewer than the 768" in text


def test_compute_that_was_not_recorded_leaves_steps(one_seed: Path) -> None:
    path = one_seed / "seed_0" / "evals.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if k != "flops"} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert "Compute was not recorded" in report(one_seed).read_text()


def test_a_text_run_says_nothing_of_reading(five_seeds: Path) -> None:
    assert "Reading the cards" not in (five_seeds / "report" / "index.html").read_text()


def test_every_colour_marks_one_meaning() -> None:
    marks = [pair[0] for pair in style.COLOURS.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "name", ["ink", "muted", "base", "sft", "grpo", "good", "extra1", "extra2"]
)
def test_text_can_be_read_on_its_ground(name: str, theme: int) -> None:
    """WCAG AA: a contrast of at least 4.5 to 1."""
    text, paper = (_luminance(style.COLOURS[key][theme]) for key in (name, "paper"))
    assert (max(text, paper) + 0.05) / (min(text, paper) + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb as the WCAG define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
