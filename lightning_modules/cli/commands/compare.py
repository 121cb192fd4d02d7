"""Put tested runs side by side on one page.

  lightning compare runs/vae/one runs/vae/two runs/wavegan/three
  lightning compare runs/vae/one/test runs/vae/one/checkpoints/last.ckpt --output page.html

Takes folders of runs, of tests, or checkpoints; of a run it takes the newest test. The page has players of
the same clips next to each other, scores with the best one marked, training curves over each other, the
options that differ, and a blind listening test among the runs.
"""

import shlex
from dataclasses import replace
from pathlib import Path

import jsonargparse

from lightning_modules.errors import ReportError
from lightning_modules.reports.listening_set import FOLDER, MANIFEST, read_listening_set
from lightning_modules.reports.results import read_results, run_folder
from lightning_modules.runs.folder import (
    BEST_NAME,
    CHECKPOINT_FOLDER,
    CONFIG_NAME,
    LAST_NAME,
    free_path,
    run_of_checkpoint,
)

DEFAULT_OUTPUT = "compare.html"
MAX_RUNS = 12
"""As many as the blind test has letters for, with the original."""


def add_arguments(parser: jsonargparse.ArgumentParser) -> None:
    """The runs, and where the page goes."""
    parser.add_argument(
        "runs", type=str, nargs="+", metavar="RUN", help="Folder of a run or of a test, or a checkpoint."
    )
    parser.add_argument(
        "--output",
        type=str | None,
        help=f"File to write, replaced if it exists (default: {DEFAULT_OUTPUT}, or the next free name).",
    )


def run(options: jsonargparse.Namespace) -> None:
    """Write the page.

    Raises:
        ReportError: If a run was not tested or cannot be read, or the page cannot be written.
    """
    tests = find_tests([Path(name) for name in options.runs])
    # imports torch, which mistakes in the arguments need not wait for
    from lightning_modules.reports.html import write_report

    results = [read_results(test) for test in tests]
    labels = [result.label for result in results]
    named = [
        replace(result, label=str(result.root)) if labels.count(result.label) > 1 else result
        for result in results
    ]
    output = Path(options.output) if options.output else free_path(Path(DEFAULT_OUTPUT))
    write_report(output, named)
    print(f"{len(named)} run(s) side by side: {output}")


def find_tests(paths: list[Path]) -> list[Path]:
    """The test folder of each run.

    Raises:
        ReportError: If there is none, two are the same, or there are too many.
    """
    if len(paths) > MAX_RUNS:
        raise ReportError(f"{len(paths)} runs are too many for one page", f"give at most {MAX_RUNS}")
    tests = [find_test(path) for path in paths]
    for number, test in enumerate(tests):
        if test in tests[:number]:
            raise ReportError(f"{paths[number]} is given twice: its test is {test}", "give each run once")
    return tests


def find_test(path: Path) -> Path:
    """The test folder that `path` means: itself, the newest of a run, or that of a checkpoint.

    Raises:
        ReportError: If there is none.
    """
    path = path.expanduser().absolute()
    if path.is_file():
        return _test_of_checkpoint(path)
    if _is_listenable(path):
        return path
    if not path.is_dir():
        raise ReportError(f"{path} does not exist", "give the folder of a run or of a test, or a checkpoint")
    tests = _tests(path)
    if not tests:
        raise ReportError(_why_untested(path), _how_to_test(path))
    return max(tests, key=lambda test: (test / FOLDER / MANIFEST).stat().st_mtime_ns)


def _test_of_checkpoint(checkpoint: Path) -> Path:
    run = run_of_checkpoint(checkpoint)
    if run is None:
        raise ReportError(
            f"{checkpoint} is no checkpoint in a run's folder", "give the folder that its test wrote"
        )
    # by name, for the run may have been moved
    tests = [
        test
        for test in _tests(run)
        if Path(read_listening_set(test).checkpoint or "").name == checkpoint.name
    ]
    if not tests:
        raise ReportError(
            f"{checkpoint} was not tested yet",
            f"run `lightning test --ckpt_path {shlex.quote(str(checkpoint))}` first",
        )
    return max(tests, key=lambda test: (test / FOLDER / MANIFEST).stat().st_mtime_ns)


def _tests(run: Path) -> list[Path]:
    return [test for test in run.glob("test*") if _is_listenable(test)]


def _is_listenable(folder: Path) -> bool:
    return (folder / FOLDER / MANIFEST).is_file()


def _why_untested(path: Path) -> str:
    if any(run_folder(folder) != folder for folder in (path, *path.glob("test*"))):
        return f"{path} was tested without the callback ListeningReport: there is nothing to listen to"
    if (path / CONFIG_NAME).is_file() or (path / CHECKPOINT_FOLDER).is_dir():
        return f"the run {path} was not tested yet"
    return f"{path} is neither the folder of a run nor that of a test"


def _how_to_test(path: Path) -> str:
    folder = run_folder(path)
    found = [folder / CHECKPOINT_FOLDER / name for name in (BEST_NAME, LAST_NAME)]
    checkpoint = next((file for file in found if file.is_file()), folder / CHECKPOINT_FOLDER / BEST_NAME)
    return (
        f"run `lightning test --ckpt_path {shlex.quote(str(checkpoint))}` first, with "
        "lightning_modules.callbacks.listening_report.ListeningReport among the callbacks of its config"
    )
