"""The report in a real browser: it works without network, and no episode's text becomes code."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cardinal_gym.training.report import report
from report_fixture import write_run
from webdriver import Browser, missing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]
ATTACK = (
    "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    "<svg onload='window.pwned = 3'>]]>&lt;b&gt; “24” \\u003cscript\\u003e"
)
DOWN, END, HOME, ESCAPE = "\ue015", "\ue010", "\ue011", "\ue00c"  # as WebDriver spells keys
SHOWN_METRICS = (
    "return [...document.querySelectorAll('[data-metric]')]"
    ".filter(e => !e.hidden).map(e => e.dataset.metric)"
)
ROWS = "return parseInt(document.querySelector('.count').textContent)"
DRAWN = "return document.querySelectorAll('.list .row').length"
CURRENT = "return document.querySelector('.list [aria-selected=true]').dataset.place"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image run on one seed, whose first stored episodes try to break out of the page."""
    folder = write_run(tmp_path_factory.mktemp("runs"), seeds=1, image=True, milestones=3)
    for path in sorted((folder / "seed_0" / "episodes").glob("*_id_*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for name in ("answer", "outcome", "feedback", "observation"):
            lines[0]["turns"][0][name] = ATTACK
        lines[0]["task_id"] = lines[0]["rule"] = lines[0]["status"] = ATTACK
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report(folder)
    return folder


@pytest.fixture(scope="module")
def window(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(run: Path, window: Browser) -> Browser:
    window.resize(1280, 900)
    window.open_report(run / "report" / "index.html")
    return window


def test_the_page_loads_without_a_complaint_or_a_request(page: Browser) -> None:
    assert page.console() == []
    loaded = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert [name for name in page.run(loaded) if not name.startswith("data:")] == []
    assert page.run("return document.querySelector('h1').textContent").startswith("With faces as")


def test_no_text_of_an_episode_becomes_code(page: Browser) -> None:
    page.choose("cell", "id")
    shown = page.run("return document.querySelector('.detail').textContent")
    assert ATTACK in shown
    assert page.run("return window.pwned") is None
    assert page.run("return document.querySelectorAll('script').length") == 4
    assert page.run("return document.querySelectorAll('.detail svg, .list img').length") == 0
    assert page.console() == []


def test_the_browser_would_refuse_a_foreign_script(page: Browser) -> None:
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 4';"
        "document.body.append(s);"
    )
    assert page.run("return window.pwned") is None
    assert any("Content Security Policy" in line for line in page.console())


def test_pictures_are_shown(page: Browser) -> None:
    page.choose("cell", "ood_red")
    wide = "return [...document.querySelectorAll('.detail img')].map(i => i.naturalWidth)"
    assert page.run(wide) == [112, 112, 112]


def test_one_way_to_count_is_shown_at_a_time(page: Browser) -> None:
    assert set(page.run(SHOWN_METRICS)) == {"success_within_turns"}
    page.click("[data-show-metric=greedy_single]")
    assert set(page.run(SHOWN_METRICS)) == {"greedy_single"}
    pressed = "return document.querySelector('[aria-pressed=true]').textContent"
    assert page.run(pressed) == "One greedy answer"


def test_filters_leave_what_was_asked_for(page: Browser) -> None:
    everything = page.run(ROWS)
    page.choose("arm", "sft")
    page.choose("cell", "ood_ranks")
    page.choose("outcome", "-")
    labels = page.run(
        "return [...document.querySelectorAll('.list .row')].map(b => b.getAttribute('aria-label'))"
    )
    assert 0 < len(labels) < everything
    assert all(label.startswith("SFT, Unseen rule: faces as ranks") for label in labels)
    assert page.run("return document.querySelector('.count').textContent").endswith(" 0 solved")
    page.type("input[name=text]", "no such words")
    assert page.run(ROWS) == 0
    assert "No episode passes" in page.run("return document.querySelector('.detail').textContent")


def test_the_same_task_stands_side_by_side_under_every_arm(page: Browser) -> None:
    page.choose("cell", "ood_ranks")
    arms = "document.querySelectorAll('.episode h4 span:first-child')"
    assert page.run(f"return [...{arms}].map(e => e.textContent)") == ["Base", "SFT", "GRPO"]


def test_the_keyboard_goes_through_the_list(page: Browser) -> None:
    assert page.run(CURRENT) == "0"
    page.type(".list", "jj")
    assert page.run(CURRENT) == "2"
    page.type(".list", "k" + DOWN + DOWN)
    assert page.run(CURRENT) == "3"
    page.type(".list", END)
    last = page.run(ROWS) - 1
    assert page.run(CURRENT) == str(last)
    chosen = page.run(
        "return document.querySelector('.list').getAttribute('aria-activedescendant')"
    )
    assert chosen == f"episode-{last}"
    assert page.run(
        f"return document.getElementById('{chosen}').getAttribute('aria-posinset')"
    ) == (str(last + 1))
    page.type(".list", HOME + "kk")
    assert page.run(CURRENT) == "0"


def test_keys_work_outside_the_list_and_a_reader_is_told(page: Browser) -> None:
    page.run("document.querySelector('#episodes').scrollIntoView({behavior: 'instant'})")
    said = "return document.querySelector('.said').textContent"
    assert page.run(said) == ""
    page.type("body", "j")
    assert page.run(CURRENT) == "1"
    assert page.run(said).startswith("2 of ")
    page.type("body", "/")
    assert page.run("return document.activeElement.name") == "text"
    page.type("input[name=text]", "jk/?")  # text, no commands
    assert page.run("return document.querySelector('input[name=text]').value") == "jk/?"
    page.type("input[name=text]", ESCAPE)
    assert page.run("return document.activeElement.className") == "list"
    page.type(".list", "?")
    assert page.run("return document.getElementById('keys').open") is True
    page.click("#keys .close")
    assert page.run("return document.getElementById('keys').open") is False


def test_two_policies_stand_side_by_side_where_they_disagree(page: Browser) -> None:
    page.choose("outcome", "!")
    found = page.run(ROWS)
    page.choose("outcome", "")
    assert 0 < found < page.run(ROWS)
    page.choose("outcome", "!")
    page.choose("arm", "sft")
    page.choose("beside", "grpo")
    shown = "document.querySelectorAll('.episode h4 span:first-child')"
    assert page.run(f"return [...{shown}].map(e => e.textContent)") == ["SFT", "GRPO"]
    page.choose("beside", "")
    assert page.run(f"return [...{shown}].map(e => e.textContent)") == ["SFT"]


def test_every_part_has_a_name_for_a_reader(page: Browser) -> None:
    """Controls, regions and figures are named, and no name is used for two targets."""
    unnamed = page.run(
        "return [...document.querySelectorAll('button, select, input, dialog, [role=listbox],"
        " [role=region], [role=img]')].filter(e => !(e.getAttribute('aria-label')"
        " || e.textContent.trim() || e.getAttribute('aria-labelledby') || e.labels?.length))"
        ".map(e => e.outerHTML)"
    )
    assert unnamed == []
    ids = page.run(
        "return [...document.querySelectorAll('main [id]:not(svg [id])')].map(e => e.id)"
    )
    assert len(ids) == len(set(ids))
    levels = page.run(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_light_and_dark(page: Browser) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    line = "return getComputedStyle(document.querySelector('figure svg text')).fill"
    page.emulate(prefers_color_scheme="light")
    bright, bright_text = page.run(paper), page.run(line)
    page.click("#theme")
    assert page.run(paper) != bright
    assert page.run(line) != bright_text
    dark = page.run(paper)
    page.click("#theme")
    assert page.run(paper) == bright
    page.run("delete document.documentElement.dataset.theme")
    page.emulate(prefers_color_scheme="dark")
    assert page.run(paper) == dark
    page.emulate(prefers_color_scheme="light")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(page: Browser, width: int) -> None:
    page.resize(width, 900)
    assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_only_rows_in_sight_are_drawn(page: Browser) -> None:
    total = page.run(ROWS)
    page.resize(1280, 400)
    assert 0 < page.run(DRAWN) < total
    page.run("const l = document.querySelector('.list'); l.scrollTop = l.scrollHeight")
    page.run("document.querySelector('.list').dispatchEvent(new Event('scroll'))")
    time.sleep(0.3)
    last = "return Math.max(...[...document.querySelectorAll('.row')].map(r => +r.dataset.place))"
    assert page.run(last) == total - 1
