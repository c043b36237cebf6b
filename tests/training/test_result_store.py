"""The results database: whole shards or nothing, many writers, and no file that is not its own."""

import json
import math
import multiprocessing
import os
import signal
import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from cardinal_gym.agents.baselines import OracleAgent, RandomAgent
from cardinal_gym.agents.config import PolicyConfig, SamplingConfig
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.types import Agent, Episode, Status
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.training import result_schema, result_store
from cardinal_gym.training.config import SuiteConfig
from cardinal_gym.training.demonstrations import bare_env
from cardinal_gym.training.episode_records import pack, replayed, unpack
from cardinal_gym.training.kept_results import KeptResults
from cardinal_gym.training.result_keys import (
    PolicyKey,
    cell_details,
    digest,
    policy_key,
    results_version,
    sampling_details,
)
from cardinal_gym.training.result_store import ResultStore
from toys import experiment, tiny_policy

ENV = GeneralPointsConfig(split="eval", max_turns=3)
GAMES = ("cards", "rail", "free")
WALK = experiment("env=nav_text", "env.routes.drop_rate=0.9").env
SOMEBODY = PolicyKey(digest="abc", name="somebody", path=None, details={"baseline": "somebody"})
CELL = cell_details(ENV)
SAMPLING = sampling_details(SamplingConfig(), 7)


def played(
    agent: Agent | None = None, numbers: range = range(4), env: object = ENV
) -> list[Episode]:
    return rollout(
        lambda: bare_env(env), agent or RandomAgent(), [50 + k for k in numbers], groups=numbers
    )


def counts(path: Path) -> tuple[int, int]:
    """Episodes, and plays."""
    with sqlite3.connect(path) as file:
        tables = ("episodes", "plays")
        return tuple(file.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables)


def bare(episode: Episode) -> Episode:
    """Without what is not stored."""
    return unpack(pack(episode))


@pytest.mark.parametrize(
    "env", [ENV, WALK, WALK.shifted(mode="free")], ids=["cards", "rail", "free"]
)
def test_an_episode_comes_back_as_it_was_played(env: object, tmp_path: Path) -> None:
    episodes = played(RandomAgent(), range(3), env) + played(OracleAgent(), range(3, 5), env)
    with ResultStore(tmp_path / "results.sqlite") as store:
        play = store.play(SOMEBODY, cell_details(env), SAMPLING)
        store.add(play, episodes)
        found = store.read(play, [(k, 0) for k in range(5)])
    for episode, again in zip(episodes, found, strict=True):
        assert again.task_id == episode.task_id
        assert again.success == episode.success
        assert again.episode_return == episode.episode_return
        assert [t.completion.text for t in again.turns] == [
            t.completion.text for t in episode.turns
        ]
        assert [t.outcome for t in again.turns] == [t.outcome for t in episode.turns]
        assert [t.reward_terms for t in again.turns] == [t.reward_terms for t in episode.turns]
        assert pack(again) == pack(episode)
        seen = replayed(env, again)
        assert [t.observation.text for t in seen.turns] == [
            t.observation.text for t in episode.turns
        ]


def test_an_episode_without_an_answer_is_kept_too(tmp_path: Path) -> None:
    """The context was full, and nobody knows what it would have been worth."""
    (episode,) = played(numbers=range(1))
    empty = replace(episode, turns=(), status=Status.context_limit, episode_return=math.nan)
    with ResultStore(tmp_path / "results.sqlite") as store:
        play = store.play(SOMEBODY, CELL, SAMPLING)
        store.add(play, [empty])
        (again,) = store.read(play, [(0, 0)])
    assert (again.turns, again.status) == ((), Status.context_limit)
    assert math.isnan(again.episode_return)
    assert replayed(ENV, again).turns == ()


def test_a_replay_that_is_judged_otherwise_is_refused() -> None:
    (episode,) = played(OracleAgent(), range(1))
    other = replace(episode, turns=(replace(episode.turns[0], outcome="wrong_value"),))
    with pytest.raises(ValueError, match=r"^the game must judge a stored episode as before; task"):
        replayed(ENV, other)


def test_what_is_there_is_known_and_stays_as_it_is(tmp_path: Path) -> None:
    first, second = played(numbers=range(3)), played(OracleAgent(), range(2, 5))
    with ResultStore(tmp_path / "results.sqlite") as store:
        play = store.play(SOMEBODY, CELL, SAMPLING)
        assert store.known(play) == set()
        store.add(play, first)
        store.add(play, second)
        assert store.known(play) == {(k, 0) for k in range(5)}
        assert store.read(play, [(2, 0), (0, 0)]) == [bare(first[2]), bare(first[0])]
        assert store.play(SOMEBODY, CELL, SAMPLING) == play
    assert counts(tmp_path / "results.sqlite") == (5, 1)


def test_columns_say_what_happened_without_unpacking(tmp_path: Path) -> None:
    episodes = played(numbers=range(3)) + played(OracleAgent(), range(3, 4))
    with ResultStore(tmp_path / "results.sqlite") as store:
        store.add(store.play(SOMEBODY, CELL, SAMPLING), episodes)
    with sqlite3.connect(tmp_path / "results.sqlite") as file:
        file.row_factory = sqlite3.Row
        rows = file.execute("SELECT * FROM episodes ORDER BY number").fetchall()
        (versions,) = file.execute("SELECT details FROM versions").fetchone()
    assert [row["success"] for row in rows] == [episode.success for episode in episodes]
    assert [row["num_turns"] for row in rows] == [len(episode.turns) for episode in episodes]
    assert rows[3]["success_turn"] == 1
    assert rows[3]["outcome"] == "correct"
    assert rows[3]["recognized"] == 1
    assert rows[3]["reward_terms"] == '{"accuracy": 1.0, "format": 1.0, "recognition": 1.0}'
    assert "torch" in versions


@pytest.mark.parametrize("place", ["policy", "cell", "sampling", "version"])
def test_another_policy_cell_sampling_or_version_is_another_play(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, cell, sampling = SOMEBODY, CELL, SAMPLING
    with ResultStore(tmp_path / "results.sqlite") as store:
        first = store.play(policy, cell, sampling)
        if place == "policy":
            policy = replace(policy, digest="other")
        elif place == "cell":
            cell = cell_details(replace(ENV, max_turns=4))
        elif place == "sampling":
            sampling = sampling_details(SamplingConfig(temperature=0.5), 7)
        else:
            monkeypatch.setattr(result_store, "results_version", lambda: "0.0/0")
        assert store.play(policy, cell, sampling) != first
    assert counts(tmp_path / "results.sqlite") == (0, 2)


def test_a_digest_is_of_content() -> None:
    assert digest({"a": 1, "b": [1.5]}) == digest({"b": [1.5], "a": 1})
    assert digest(cell_details(WALK)) == digest(cell_details(WALK.shifted(look="harbor")))
    assert digest(cell_details(WALK)) != digest(cell_details(WALK.shifted(look="neon")))
    assert "fog" not in cell_details(WALK)  # results of before there was fog keep their name
    assert cell_details(WALK.shifted(fog=True))["fog"] is True
    greedy = [SamplingConfig(greedy=True, temperature=t) for t in (0.5, 1.0)]
    assert len({digest(sampling_details(each, 7)) for each in greedy}) == 1
    assert digest(SAMPLING) != digest(sampling_details(SamplingConfig(), 8))


def test_a_policy_is_known_by_its_files_wherever_they_are(tmp_path: Path) -> None:
    def key(name: str, **settings: object) -> str:
        path = str(tmp_path / name)
        return policy_key(PolicyConfig(name="p", path=path, **settings), "run").digest

    policy = tiny_policy()
    for name in ("one", "two"):
        policy.save(tmp_path / name)
    (tmp_path / "two" / "notes.md").write_text("not of the policy")
    assert key("one") == key("two")
    assert key("one") != key("one", context="single_turn")
    template = tmp_path / "two" / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    changed = key("two")
    assert changed != key("one")
    weights = tmp_path / "two" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert key("two") not in (changed, key("one"))


def test_baselines_are_known_by_name_and_persons_by_their_run() -> None:
    def key(name: str, run: str) -> str:
        return policy_key(PolicyConfig(name=name, build=None), run).digest

    assert key("oracle", "a") == key("oracle", "b") != key("random", "a")
    assert key("human", "a") != key("human", "b")


def _write(path: Path, first: int, started: object) -> None:
    episodes = played(numbers=range(first, first + 6))
    started.wait()
    with ResultStore(path) as store:
        play = store.play(SOMEBODY, CELL, SAMPLING)
        for episode in episodes:
            store.add(play, [episode])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """Also into a database that none of them has made yet, and the same episodes."""
    path, context = tmp_path / "new" / "results.sqlite", multiprocessing.get_context("fork")
    started = context.Barrier(3)
    writers = [context.Process(target=_write, args=(path, k, started)) for k in (0, 0, 4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert counts(path) == (10, 1)


def _write_and_die(path: Path, ready: object) -> None:
    store = ResultStore(path)
    play = store.play(SOMEBODY, CELL, SAMPLING)
    store.add(play, played(numbers=range(2)))
    store._connection.execute("BEGIN IMMEDIATE")  # in the middle of the next shard
    store._connection.execute("DELETE FROM episodes")
    ready.set()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_leaves_whole_shards_and_no_lock(tmp_path: Path) -> None:
    path, context = tmp_path / "results.sqlite", multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=_write_and_die, args=(path, ready))
    writer.start()
    writer.join()
    assert ready.is_set()
    assert writer.exitcode == -signal.SIGKILL
    with ResultStore(path) as store:
        play = store.play(SOMEBODY, CELL, SAMPLING)
        assert store.known(play) == {(0, 0), (1, 0)}
        store.add(play, played(numbers=range(2, 3)))
        assert store.known(play) == {(0, 0), (1, 0), (2, 0)}


def test_an_interruption_within_a_shard_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(episode: Episode) -> bytes:
        calls.append(episode)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return pack(episode)

    monkeypatch.setattr(result_store, "pack", interrupted)
    with ResultStore(tmp_path / "results.sqlite") as store:
        play = store.play(SOMEBODY, CELL, SAMPLING)
        with pytest.raises(KeyboardInterrupt):
            store.add(play, played())
        assert store.known(play) == set()
        store.add(play, played())
        assert len(store.known(play)) == 4


def written(path: Path) -> Path:
    with ResultStore(path) as store:
        store.add(store.play(SOMEBODY, CELL, SAMPLING), played(numbers=range(40)))
    return path


def no_database(path: Path) -> str:
    path.write_text("name,success\nsft,1\n")
    return "must be a SQLite file; got .*, which is none or is damaged: move it away"


def other_program(path: Path) -> str:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE songs (title)")
    file.close()
    return "must be one that cardinal wrote; got .*, which is another program's"


def other_version(path: Path) -> str:
    written(path)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    return f"must be of version {result_schema.SCHEMA_VERSION}; got .* of version 99"


def truncated(path: Path) -> str:
    data = written(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return "must be whole; got .*, which is damaged"


def scrambled(path: Path) -> str:
    data = bytearray(written(path).read_bytes())
    data[4096 : 3 * 4096] = os.urandom(2 * 4096)
    path.write_bytes(data)
    return "must be whole; got .*, which is damaged"


def a_folder(path: Path) -> str:
    path.mkdir()
    return "must be a file that can be read and written; got .*: Is a directory"


@pytest.mark.parametrize(
    "spoil", [no_database, other_program, other_version, truncated, scrambled, a_folder]
)
def test_a_file_that_is_not_ours_is_told_in_one_line_and_left_alone(
    spoil: object, tmp_path: Path
) -> None:
    path = tmp_path / "results.sqlite"
    said = spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ValueError, match=f"^results database {said}") as caught:
        ResultStore(path)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_record_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "results.sqlite")
    for broken in (b"nothing", zlib.compress(b"{}"), zlib.compress(b"[")):
        with sqlite3.connect(path) as file:
            file.execute("UPDATE episodes SET record = ? WHERE number = 3", (broken,))
        file.close()
        with (
            ResultStore(path) as store,
            pytest.raises(ValueError, match=r"damaged \(an episode cannot be read: .*evaluate.dat"),
        ):
            store.read(store.play(SOMEBODY, CELL, SAMPLING), [(3, 0)])


def test_reading_alone_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^results database must exist; got .*none.sqlite"):
        ResultStore(tmp_path / "none.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_locked_database_is_told_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "results.sqlite")
    monkeypatch.setattr(result_schema, "BUSY_S", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ValueError, match=r"^results database must be free within"):
        ResultStore(path).play(SOMEBODY, CELL, SAMPLING)
    holder.execute("ROLLBACK")
    holder.close()


def test_a_folder_of_another_version_or_policy_is_not_gone_on_with(tmp_path: Path) -> None:
    kept = KeptResults(ResultStore(tmp_path / "results.sqlite"), SOMEBODY, SuiteConfig())
    kept.refuse_mixing(tmp_path / "evals")
    kept.refuse_mixing(tmp_path / "evals")  # the same again may be resumed
    path = tmp_path / "evals" / "policy.json"
    record = json.loads(path.read_text())
    assert record["version"] == results_version()
    path.write_text(json.dumps({**record, "version": "0.0.1/1"}))
    with pytest.raises(ValueError, match=r"must be of one version; got those of 0.0.1/1, and this"):
        kept.refuse_mixing(tmp_path / "evals")
    path.write_text(json.dumps({**record, "digest": "another"}))
    with pytest.raises(ValueError, match=r"must be of one policy; got those of another"):
        kept.refuse_mixing(tmp_path / "evals")
    path.write_text(json.dumps({k: v for k, v in record.items() if k != "version"}))
    kept.refuse_mixing(tmp_path / "evals")  # folders of before it was noted
    kept.store.close()
