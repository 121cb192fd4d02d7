"""Search for better options with a W&B sweep file, on this machine and without an account.

  lightning sweep experiments/sweeps/vae.yaml --count 8
  lightning sweep experiments/sweeps/vae.yaml --count 8 --options "--trainer.max_steps=200"

It runs the file's command once with its default options and then as often as --count says with those that
Optuna suggests; runs that fall behind are stopped early, if the file asks for it. Stopped or killed, the same
command goes on where it was. With an account, `wandb sweep FILE` and `wandb agent` search the same space.
"""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from lightning_modules.cli.arguments import LONGEST_STEM, check_limits
from lightning_modules.errors import SweepError
from lightning_modules.runs.experiments import experiment_file

if TYPE_CHECKING:
    import optuna

    from lightning_modules.sweeps.sweep_file import SweepPlan


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """The sweep file, how many trials, where they go."""
    parser.add_argument("file", type=Path, help="A W&B sweep file.")
    parser.add_argument("--count", type=int, default=8, help="Trials beside the default one.")
    parser.add_argument("--method", type=str | None, help="bayes, random or grid, whatever the file says.")
    parser.add_argument("--name", type=str | None, help="Name of the sweep's folder (default: its file's).")
    parser.add_argument("--sweeps_dir", type=Path, default=Path("runs/sweeps"), help="Folder of all sweeps.")
    parser.add_argument("--options", type=str, default="", help="More options for each trial, as one text.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the search.")
    parser.add_argument(
        "--max_failures", type=int, default=3, help="Give up after so many failed trials in a row."
    )


def run(options: jsonargparse.Namespace) -> None:
    """Run the sweep, then show and write its results.

    Raises:
        SweepError: If the file cannot be used or the sweep cannot go on.
    """
    check_engine()
    from lightning_modules.sweeps.local_sweep import LocalSweep
    from lightning_modules.sweeps.sweep_file import load_sweep

    check_limits(options)
    try:
        words = shlex.split(options.options)
    except ValueError as error:
        raise SweepError(f"--options is {options.options!r} ({error})", "close the quotes in it") from error
    plan = load_sweep(Path(experiment_file(str(options.file))), options.method)
    folder = options.sweeps_dir / checked_name(options.name or plan.name)
    sweep = LocalSweep(plan, folder, words, options.seed, options.max_failures)
    show(plan, sweep.run(options.count), folder)


def check_engine() -> None:
    """Make sure that Optuna is there.

    Raises:
        SweepError: If it cannot be imported.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise SweepError(
            f"Optuna, which searches, cannot be imported ({error})",
            "install it with this project's extra: pip install -e '.[sweeps]'",
        ) from error


def checked_name(name: str) -> str:
    """A sweep's name, which is one folder in the folder of all sweeps.

    Raises:
        SweepError: If it would lead elsewhere.
    """
    too_long = len(os.fsencode(name)) > LONGEST_STEM
    if name in ("", ".", "..") or set(name) & set("/\\") or not name.isprintable() or too_long:
        raise SweepError(
            f"The sweep's name {name!r:.100} does not name a folder within --sweeps_dir",
            "give a short --name without '/', '\\' and '..'; --sweeps_dir says where all sweeps lie",
        )
    return name


def show(plan: "SweepPlan", study: "optuna.Study", folder: Path) -> None:
    """Print the table and the verdict; write `results.csv` and the pictures."""
    from rich.console import Console

    from lightning_modules.reports import sweep_results

    sweep_results.write_results(plan, study, folder / "results.csv")
    pictures = sweep_results.draw(plan, study, folder)
    Console(markup=False, emoji=False).print(sweep_results.results_table(plan, study))
    print(sweep_results.verdict(plan, study))
    print("  ".join(str(path) for path in (folder / "results.csv", *pictures)))
