"""The report on paper, by the keyboard alone, readable in either theme, and with pictures that the
page does not hold but the run folder does."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cardinal_gym.training.report import report, samples
from cardinal_gym.training.serve import ReportServer
from report_fixture import SMALL, write_run
from webdriver import Browser, missing

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]
TAB = "\ue004"
SEEN = (  # heights of what is to be seen
    "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length)"
    ".map(e => e.getBoundingClientRect().height)"
)
LOADED = (
    "const images = [...document.querySelectorAll('.detail img')], done = arguments[0];"
    "Promise.all(images.map(i => i.decode())).then(() => done(true), () => done(false))"
)
FOCUS = "return document.activeElement.name || document.activeElement.className"
# Of every element with text of its own: its name, and the contrast to the ground it stands on
# (WCAG 2.1); of text in figures, to the shape drawn last before it at its place.
CONTRASTS = """
const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const light = (rgb) => {
  const parts = rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const contrast = (a, b) => {
  const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const ground = (node) => {
  for (let each = node; each; each = each.parentElement) {
    const rgba = parse(getComputedStyle(each).backgroundColor);
    if (rgba.length === 3 || rgba[3] > 0.99) return rgba;
  }
  return [255, 255, 255];
};
const under = (text) => {
  const box = text.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const shapes = [...text.closest('svg').querySelectorAll('path')].filter((path) => {
    const place = path.getBoundingClientRect();
    return getComputedStyle(path).fill !== 'none' && place.width > 8 && place.height > 8
      && place.left <= x && x <= place.right && place.top <= y && y <= place.bottom
      && path.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
  });
  return shapes.length ? parse(getComputedStyle(shapes.at(-1)).fill) : ground(text.closest('svg'));
};
const isSeen = (node) => node.getClientRects().length > 0;
const hasText = (node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
const told = [];
for (const node of document.querySelectorAll('main *, header *')) {
  if (!isSeen(node) || !hasText(node) || node.closest('svg')) continue;
  const colour = parse(getComputedStyle(node).color);
  told.push([node.tagName + '.' + node.className + ': ' + node.textContent.slice(0, 30),
             contrast(colour, ground(node))]);
}
for (const text of document.querySelectorAll('.heat svg text')) {
  if (!isSeen(text)) continue;
  const colour = parse(getComputedStyle(text).fill);
  told.push(['heat: ' + text.textContent.trim(), contrast(colour, under(text))]);
}
return told;
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image run of one seed whose page holds none of its pictures."""
    folder = write_run(tmp_path_factory.mktemp("runs"), seeds=1, image=True, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "MAX_PICTURE_BYTES", 0)
        report(folder)
    return folder


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(run: Path, window: Browser) -> Browser:
    window.open_report(run / "report" / "index.html")
    return window


def test_paper_has_every_table_and_no_control(page: Browser) -> None:
    page.run("document.documentElement.dataset.theme = 'dark'")
    page.command("Emulation.setEmulatedMedia", media="print")
    try:
        page.run("dispatchEvent(new Event('beforeprint'))")
        assert page.run(SEEN, ".switch, #theme, .filters, .list, button, select, input") == []
        tables = page.run(SEEN, "table")
        assert len(tables) > 3
        assert min(tables) > 20
        assert page.run("return getComputedStyle(document.body).backgroundColor") == (
            "rgb(254, 254, 254)"
        )
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.run(wide) <= 0
        page.run("dispatchEvent(new Event('afterprint'))")
        assert page.run("return document.querySelectorAll('section > details[open]').length") == 0
    finally:
        page.command("Emulation.setEmulatedMedia", media="")
    paper = base64.b64decode(page.command("Page.printToPDF", printBackground=True)["data"])
    assert paper.startswith(b"%PDF")
    assert paper.count(b"/Type /Page\n") > 2


def test_the_keyboard_reaches_every_filter_the_list_and_the_episode(page: Browser) -> None:
    page.run("document.querySelector('select[name=cell]').focus()")
    reached = [page.run(FOCUS)]
    for _ in range(6):
        page.type(":focus", TAB)
        reached.append(page.run(FOCUS))
    assert reached == ["cell", "arm", "outcome", "beside", "text", "ask", "list"]
    total = page.run("return document.querySelector('.count').textContent")
    page.run("document.querySelector('select[name=arm]').focus()")
    page.type(":focus", "GRPO")  # as in any list of choices: the first letters
    assert page.run("return document.querySelector('select[name=arm]').value") == "grpo"
    assert page.run("return document.querySelector('.count').textContent") != total
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) == "solid"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_is_readable_on_its_ground(page: Browser, theme: str) -> None:
    page.run("document.documentElement.dataset.theme = arguments[0]", theme)
    told = page.run(CONTRASTS)
    assert sum(name.startswith("heat: ") for name, _ in told) > 20
    assert [(name, round(ratio, 2)) for name, ratio in told if ratio < 4.5] == []


def test_a_page_that_is_served_takes_its_pictures_from_the_run_folder(
    page: Browser, run: Path
) -> None:
    pictures = "return [...document.querySelectorAll('.detail img')].map(i => i.naturalWidth)"
    page.choose("cell", "ood_red")
    assert page.run(pictures) == []
    assert "cardinal view RUN --serve shows it" in page.run(
        "return document.querySelector('.detail').textContent"
    )
    with ReportServer(run) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            page.visit(server.url)
            page.await_report()
            page.choose("cell", "ood_red")
            assert page.run_async(LOADED)
            assert page.run(pictures) == [112, 112, 112]
            assert page.console() == []
        finally:
            server.shutdown()
            thread.join()
