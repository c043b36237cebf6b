"""The report in a real browser: it works without network, and no episode's text becomes code."""

import json
from collections.abc import Iterator
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
SHOWN_METRICS = (
    "return [...document.querySelectorAll('[data-metric]')]"
    ".filter(e => !e.hidden).map(e => e.dataset.metric)"
)
ROWS = "return document.querySelectorAll('.list button:not(.more)').length"


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
    window.open(run / "report" / "index.html")
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
    assert page.run("return document.querySelectorAll('script').length") == 2
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
        "return [...document.querySelectorAll('.list button')]"
        ".map(b => b.getAttribute('aria-label'))"
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
    current = "return document.querySelector('.list [aria-current]').dataset.place"
    assert page.run(current) == "0"
    page.type(".list", "jj")
    assert page.run(current) == "2"
    page.type(".list [aria-current]", "k")
    assert page.run(current) == "1"


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


def test_ten_thousand_episodes_stay_smooth(run: Path, window: Browser, tmp_path: Path) -> None:
    text = (run / "report" / "index.html").read_text()
    head, _, rest = text.partition('id="data">')
    data, _, tail = rest.partition("</script>")
    value = json.loads(data)
    value["episodes"] = [
        {**value["episodes"][i % len(value["episodes"])], "deal": str(i)} for i in range(10_000)
    ]
    big = json.dumps(value).replace("<", "\\u003c")
    page = tmp_path / "big.html"
    page.write_text(f'{head}id="data">{big}</script>{tail}')
    window.open(page)
    assert window.run(ROWS) == 100
    took_ms = window.run(
        "const s = document.querySelector('select[name=arm]'), start = performance.now();"
        "s.value = 'grpo'; s.dispatchEvent(new Event('input', {bubbles: true}));"
        "document.body.getBoundingClientRect(); return performance.now() - start"
    )
    assert took_ms < 1000
