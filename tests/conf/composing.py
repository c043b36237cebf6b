"""Composing configurations in this process, as the command line does."""

from pathlib import Path

from cardinal_gym.training.schema import register
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
PRIMARIES = sorted(
    path.stem for path in CONF.glob("*.yaml") if path.stem not in ("common", "launch")
)
GROUPS = {
    folder.name: sorted(
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("**/*.yaml")
    )
    for folder in sorted(CONF.iterdir())
    if folder.is_dir() and folder.name not in ("hydra", "__pycache__")
}
CHOICES = [f"{group}={choice}" for group, choices in GROUPS.items() for choice in choices]

register()


def composed(primary: str, *overrides: str, conf: Path = CONF) -> DictConfig:
    with initialize_config_dir(str(conf), version_base="1.3"):
        return compose(primary, overrides=list(overrides))
