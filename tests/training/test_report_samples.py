"""Sample episodes in a report: what is shown, what is left out, what must not be reached."""

import base64
import gzip
import json
from pathlib import Path

import pytest
from cardinal_gym.training.report import load_run, payload, report, samples
from report_fixture import SMALL, write_run


def test_pictures_of_an_image_run_are_in_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seeds=1, image=True, **SMALL)
    shown = samples.browser(samples.read_samples(load_run(folder)))
    assert len(shown.pictures) == 4  # two hands, black and red, each once
    assert "Reading the cards, solving the hand" in report(folder).read_text()


def test_numbers_that_a_browser_cannot_read_are_left_out(one_seed: Path) -> None:
    path = next((one_seed / "seed_0" / "episodes").glob("*.jsonl"))
    record = json.loads(path.read_text().splitlines()[0])
    record["return"], record["turns"][0]["reward"] = float("nan"), float("inf")
    record["turns"][0]["answer"] = "\ud800"
    path.write_text(json.dumps(record) + "\n")
    text = report(one_seed).read_text(encoding="utf-8")
    packed = text.partition('id="packed">')[2].partition("</script>")[0]

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    data = gzip.decompress(base64.b64decode(packed))
    assert len(json.loads(data, parse_constant=refuse)["episodes"]) > 1


def test_texts_are_kept_once_and_come_back(one_seed: Path) -> None:
    shown = samples.browser(samples.read_samples(load_run(one_seed)))
    many = [{**each, "deal": str(k)} for k in range(20) for each in shown.episodes]
    value = payload.unpack(payload.pack(many))
    texts, columns = value["texts"], value["columns"]
    assert len(set(texts)) == len(texts)
    for before, row in zip(many, value["episodes"], strict=True):
        after = dict(zip(columns["episode"], row, strict=True))
        turns = [dict(zip(columns["turn"], turn, strict=True)) for turn in after.pop("turns")]
        for record, stored in ((before, after), *zip(before["turns"], turns, strict=True)):
            for name, found in stored.items():
                if name != "terms":
                    assert record[name] == (texts[found] if name in payload.TEXTS else found)
    assert texts[turns[0]["terms"]] == "accuracy 0, format 1"
    assert len(payload.pack(many)) < 3 * len(payload.pack(shown.episodes))


def test_a_page_holds_no_more_than_fits(one_seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = samples.read_samples(load_run(one_seed))
    whole = samples.browser(stored)
    monkeypatch.setattr(samples, "MAX_PACKED_CHARS", len(whole.packed) * 3 // 4)
    cut = samples.browser(stored)
    assert len(cut.packed) <= len(whole.packed) * 3 // 4
    assert cut.episodes == whole.episodes[: len(cut.episodes)]
    assert f"{len(cut.episodes)} of {len(stored)} stored episodes" in cut.notes[0]
    monkeypatch.setattr(samples, "MAX_TEXT_CHARS", 10)
    assert samples.browser(stored).episodes == []


def test_a_picture_outside_its_folder_is_not_shown(one_seed: Path) -> None:
    secret = one_seed.parent / "secret.png"
    secret.write_bytes(samples.PNG_MAGIC)
    sample = samples.read_samples(load_run(one_seed))[0]
    assert samples.picture_path(sample, "../../../secret.png") is None
    assert samples.picture_path(sample, str(secret)) is None


def test_pictures_and_episodes_that_do_not_fit_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, seeds=1, image=True, **SMALL)
    monkeypatch.setattr(samples, "MAX_PICTURE_BYTES", 1)
    monkeypatch.setattr(samples, "MAX_EPISODES", 3)
    shown = samples.browser(samples.read_samples(load_run(folder)))
    assert shown.pictures == []
    assert len(shown.episodes) == 3
    assert "3 of 18 stored episodes" in shown.notes[0]
    assert "pictures did not fit" in shown.notes[1]
