"""Search for better options with a W&B sweep file, on this machine and without an account.

  lightning sweep experiments/sweeps/vae.yaml --count 8
  lightning sweep experiments/sweeps/vae.yaml --count 8 --options "--trainer.max_steps=200"

It runs the file's command once with its default options and then as often as --count says with those that
W&B's own search engine suggests; runs that fall behind are stopped early, if the file asks for it. Stopped
or killed, the same command goes on where it was. With an account, `wandb sweep FILE` and `wandb agent` do the
same.
"""

import shlex
from pathlib import Path

import jsonargparse

from lightning_modules.errors import SweepError
from lightning_modules.sweeps.journal import Trial
from lightning_modules.sweeps.local_sweep import LocalSweep
from lightning_modules.sweeps.search import SweepPlan, load_sweep


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """The sweep file, how many trials, where they go."""
    parser.add_argument("file", type=Path, help="A W&B sweep file.")
    parser.add_argument("--count", type=int, default=8, help="Trials beside the default one.")
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
    if options.count < 1:
        raise SweepError(f"--count is {options.count}", "give at least 1")
    plan = load_sweep(options.file)
    folder = options.sweeps_dir / (options.name or plan.name)
    sweep = LocalSweep(plan, folder, shlex.split(options.options), options.seed, options.max_failures)
    show(plan, sweep.run(options.count), folder)


def show(plan: SweepPlan, trials: list[Trial], folder: Path) -> None:
    """Print the table and the verdict; write `results.csv` and `parallel_coordinates.png`."""
    from rich.console import Console

    from lightning_modules.reports import sweep_results

    sweep_results.write_results(plan, trials, folder / "results.csv")
    sweep_results.parallel_coordinates(plan, trials).savefig(folder / "parallel_coordinates.png")
    Console().print(sweep_results.results_table(plan, trials))
    print(sweep_results.verdict(plan, trials))
    print(f"{folder / 'results.csv'}  {folder / 'parallel_coordinates.png'}")
