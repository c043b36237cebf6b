"""conf -> training -> agents -> envs: imports run only this way, and a game never loads a model."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("envs", "agents", "training", "conf")  # each may import itself and what stands before it
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
ENVS_MAY_IMPORT = {"numpy", "PIL", "cv2", "gymnasium", "numba"}
HYDRA = {"hydra", "omegaconf"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(module: Path) -> None:
    layer = module.relative_to(ROOT).parts[0]
    for name in imported_names(module):
        parts = name.split(".")
        if parts[0] == "cardinal_gym" and len(parts) > 1:
            assert LAYERS.index(parts[1]) <= LAYERS.index(layer), f"{layer} must not import {name}"
        elif parts[0] in HYDRA:
            assert layer in ("training", "conf"), f"{layer} must not import {name}"
        elif layer == "envs" and parts[0] not in sys.stdlib_module_names:
            assert parts[0] in ENVS_MAY_IMPORT, f"{layer} must not import {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_street_renderer_imports_numba(module: Path) -> None:
    if module.relative_to(ROOT).parts[:2] != ("envs", "street_nav"):
        assert not any(name.split(".")[0] == "numba" for name in imported_names(module))


def test_playing_a_game_loads_neither_torch_nor_numba() -> None:
    loaded = modules_loaded_by(
        "import gymnasium as gym; import cardinal_gym.envs;"
        "env = gym.make('cardinal/GeneralPoints-v0', modality='image');"
        "env.reset(seed=0); env.step(env.unwrapped.oracle_action())"
    )
    assert not loaded & {"torch", "transformers", "accelerate", "hydra", "numba", "matplotlib"}


def test_help_of_the_command_line_loads_no_torch() -> None:
    loaded = modules_loaded_by("from cardinal_gym.training import cli; cli.main(['--help'])")
    assert not loaded & {"torch", "transformers", "accelerate", "hydra"}


def test_reading_a_run_loads_no_torch() -> None:
    loaded = modules_loaded_by(
        "import cardinal_gym.training.view, cardinal_gym.training.report.build"
    )
    assert not loaded & {"torch", "transformers", "accelerate", "hydra", "numba"}


def imported_names(module: Path) -> list[str]:
    """Absolute names of all that a module imports, wherever in the file it does."""
    package = ("cardinal_gym", *module.relative_to(ROOT).parts[:-1])
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else ())))
            names += [f"{stem}.{alias.name}" for alias in node.names]
    return names


def modules_loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after it ran `code`, which may exit by itself."""
    program = (
        f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('LOADED ' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listing = done.stderr.rpartition("LOADED ")[2]
    return {name.partition(".")[0] for name in listing.split()}
