"""`cardinal <command> ...`: one name for every program of the package.

Only the chosen command's module is imported, so help is instant and playing a game loads no torch.
"""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass

USAGE_STATUS = 2


@dataclass(frozen=True, slots=True)
class Command:
    """module: in this package, with a function `main()` that reads sys.argv; about: one line."""

    module: str
    about: str


COMMANDS = {
    "demo": Command("demo", "everything at once, small: text comparison, image run, report"),
    "compare": Command("compare", "SFT against GRPO from one base at equal compute, with a report"),
    "reproduce": Command(
        "reproduce.command", "the study's six cells and side questions, beside its figures"
    ),
    "pretrain": Command("pretrain", "pretrain a tiny policy on many rules (cached)"),
    "sft": Command("sft", "supervised fine-tuning on oracle episodes"),
    "grpo": Command("grpo", "multi-turn GRPO"),
    "run": Command("run", "a recipe: the stages of a training system, and what each gains"),
    "eval": Command("eval", "measure a policy in and out of distribution"),
    "plan": Command("plan", "memory, time and parameters of an experiment on a machine"),
    "export": Command("export", "write oracle episodes as a file of chat messages with pictures"),
    "play": Command("play", "play any environment in the terminal"),
    "data": Command("data", "check a data set that was downloaded: counts, problems, pictures"),
    "report": Command("report", "write the report of a run, or of evaluations side by side"),
    "results": Command("results", "what evaluations have been kept, as a table or CSV"),
    "view": Command("view", "show episodes of a run folder, with pictures"),
}

EXAMPLES = """\
Examples:
  cardinal play env=gp_image rules=faces_as_ranks
  cardinal compare experiment=gp_l seeds=5
  cardinal grpo experiment=gp_l name=hot grpo.optim.lr=1e-3
  cardinal grpo experiment=gp_l -m seed=0,1,2
  cardinal eval experiment=gp_l name=grpo_0 policy.path=runs/gp_l/default/seed_0/grpo/policy
  cardinal report runs/gp_l/default

Each run writes one folder, runs/<experiment>/<name>; with resume=true the same command goes on.
eval also keeps what it has played in runs/results.sqlite, and plays nothing twice.
cardinal <command> --help shows that command's groups and settings."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; leaves with its exit status (2 when the command line is wrong)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(help_text())
        return
    if given[0] in ("-V", "--version", "version"):
        print(f"cardinal-gym {importlib.metadata.version('cardinal-gym')}")
        return
    name, *rest = given
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        known = ", ".join(COMMANDS)
        print(f"cardinal: command must be one of {known}; got {name}{hint}", file=sys.stderr)
        raise SystemExit(USAGE_STATUS)
    sys.argv = [f"cardinal {name}", *rest]
    module = importlib.import_module(f"{__package__}.{COMMANDS[name].module}")
    raise SystemExit(module.main())


def help_text() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: cardinal COMMAND [group=choice ...] [setting=value ...]",
            "       cardinal report|view RUN_FOLDER",
            "       cardinal report EVALUATION EVALUATION ...",
            "       cardinal results [DATABASE]",
            "       cardinal data check FOLDER",
            "       cardinal --version",
            "",
            "Commands:",
            *lines,
            "",
            EXAMPLES,
        ]
    )
