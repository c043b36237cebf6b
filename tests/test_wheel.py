"""The wheel holds every file of the four folders and works outside the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("envs", "agents", "training", "conf")
GENERATED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")

PLAY_ONE_EPISODE = """
import sys
import cardinal_gym.envs
import gymnasium as gym
assert cardinal_gym.envs.__file__.startswith(sys.prefix), cardinal_gym.envs.__file__
for modality in ("text", "image"):
    env = gym.make("cardinal/GeneralPoints-v0", modality=modality)
    env.reset(seed=3)
    *_, terminated, _, info = env.step(env.unwrapped.oracle_action())
    assert terminated and info["success"], info
"""

COMPOSE_A_CONFIG = """
import sys
from hydra import compose, initialize_config_module
from cardinal_gym.training.schema import register
register()
with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
    compose("grpo", overrides=["experiment=gp_l"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no stale build/ folder of the checkout can leak into it."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=GENERATED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(source))
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which borrows the dependencies but not the editable install.

    A folder named in a .pth file goes on sys.path, but .pth files inside it are not run: that keeps
    the checkout out of sight.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    interpreter = home / "bin" / "python"
    pip("--python", str(interpreter), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = home.glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(borrowed)))
    return interpreter


def test_wheel_holds_every_file_of_the_four_folders(wheel: Path) -> None:
    tracked = {f"cardinal_gym/{path}" for path in source_files()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == tracked, "pyproject.toml: packages or package-data are not complete"


def test_an_installed_wheel_plays_both_modalities(python: Path, tmp_path: Path) -> None:
    run(python, "-c", PLAY_ONE_EPISODE, cwd=tmp_path)


def test_an_installed_wheel_finds_its_configuration(python: Path, tmp_path: Path) -> None:
    run(python, "-c", COMPOSE_A_CONFIG, cwd=tmp_path)


def test_an_installed_wheel_has_the_command(python: Path, tmp_path: Path) -> None:
    done = run(python.with_name("cardinal"), "--help", cwd=tmp_path)
    assert "grpo" in done.stdout


def source_files() -> list[str]:
    names: list[str] = []
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            relative = path.relative_to(ROOT)
            hidden = any(p.startswith(".") or p == "__pycache__" for p in relative.parts)
            if path.is_file() and not hidden:
                names.append(relative.as_posix())
    return names


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return done
