"""Registers the dataclasses as Hydra schemas, so that YAML and overrides are checked by type.

The schemas live in a group of their own (`schema/...`), which keeps the lists of choices that a
user sees (`env`, `policy`, ...) down to what can be chosen. One departure from the dataclasses'
defaults: an environment's rule and look come blank, because the groups `rules` and `visuals` fill
them; merged into a preset, a rule that names only an ace would keep the preset's faces.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore

from ..envs.general_points.config import GeneralPointsConfig, Rule
from ..envs.general_points.render.config import VisualConfig
from ..envs.street_nav.config import StreetNavConfig
from .config import ExperimentConfig
from .recipes.config import RecipeConfig
from .reproduce.config import ReproduceConfig


@dataclass(kw_only=True, slots=True)
class PlayConfig:
    """A person plays in the terminal.

    seed: of the first hand; null deals another one every time.
    hands: how many hands; null: until Ctrl-D.
    pictures: folder for the pictures; null: a new one in the system's temporary folder.
    open_pictures: show each picture in a window where the machine has a screen.
    window: street navigation: walk in a window instead of the terminal.
    export: street navigation: film the right walk as this .gif or .mp4, with a map of it beside.
    """

    seed: int | None = None
    hands: int | None = None
    pictures: str | None = None
    open_pictures: bool = True
    window: bool = False
    export: str | None = None
    env: Any = None

    def __post_init__(self) -> None:
        for name in ("seed", "hands"):
            value = getattr(self, name)
            if value is not None and value < (name == "hands"):
                raise ValueError(f"{name} must be at least {int(name == 'hands')}; got {value}")


@dataclass(kw_only=True, slots=True)
class DemoConfig:
    """The demo: `conf/experiment/demo_text.yaml` and `demo_image.yaml`, scaled to `minutes`.

    minutes: wall-clock limit, downloads excluded.
    name, output_dir: the run folder is <output_dir>/demo_text/<name>.
    processes: how many stages train at the same time; null: one per core.
    """

    minutes: float = 15.0
    name: str = "default"
    seed: int = 0
    output_dir: str = "runs"
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.minutes < 2:
            raise ValueError(f"minutes must be at least 2; got {self.minutes:g}")
        if self.processes is not None and self.processes < 1:
            raise ValueError(f"processes must be at least 1; got {self.processes}")


ROOTS = (ExperimentConfig, RecipeConfig, ReproduceConfig, PlayConfig, DemoConfig)


def register() -> None:
    """Store every schema; calling it again changes nothing. Loads no torch."""
    store = ConfigStore.instance()
    # Hydra copies its sources, and with them every schema in the store, at each composition and for
    # each group that its help lists. What `load` hands out is copied anyway, so one store will do.
    ConfigStore.__deepcopy__ = lambda shared, _: shared  # type: ignore[attr-defined]
    store.store(group="schema", name="experiment", node=ExperimentConfig)
    store.store(group="schema", name="recipe", node=RecipeConfig)
    store.store(group="schema", name="reproduce", node=ReproduceConfig)
    store.store(group="schema", name="play", node=PlayConfig)
    store.store(group="schema", name="demo", node=DemoConfig)
    store.store(
        group="schema",
        name="general_points",
        node=GeneralPointsConfig(rule=Rule(name="unnamed"), visual=VisualConfig()),
    )
    store.store(group="schema", name="street_nav", node=StreetNavConfig())
