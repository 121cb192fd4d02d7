"""Run folders: where one run's config, checkpoints, samples and metrics live, and how a run is continued.

    runs/<experiment>/<run id>/
        config.yaml             resolved options; config-resume-1.yaml … when the run is continued
        checkpoints/            best.ckpt, last.ckpt
        samples/                audio and pictures, one folder per step
        metrics/version_0/      metrics.csv; version_1 … when the run is continued
        wandb/                  what W&B writes
        test/  validate/  predict/   the same, for a verb that was run on one of the checkpoints

Nothing is overwritten: a second `test` writes into `test-2`. Callbacks know none of this, they write below
`trainer.default_root_dir`.
"""

import os
import re
import secrets
import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lightning_modules.errors import RunError

CONFIG_NAME = "config.yaml"
CHECKPOINT_FOLDER = "checkpoints"
BEST_NAME = "best.ckpt"
LAST_NAME = "last.ckpt"
INTERRUPTED_NAME = "interrupted.ckpt"


@dataclass(frozen=True)
class Run:
    """One run and the stage of it that is about to start.

    Attributes:
        folder: The run's own folder, `runs/<experiment>/<run id>`.
        root: Where this stage writes: `folder` for `fit`, else a folder of its own below it.
        verb: `fit`, `validate`, `test` or `predict`.
        resumed: Whether `folder` exists already and is continued.
        again: Whether `folder` may exist all the same: somebody else may have made it meanwhile.
    """

    folder: Path
    root: Path
    verb: str
    resumed: bool
    again: bool = False

    @property
    def id(self) -> str:
        """Name of the folder; also the id of the W&B run."""
        return self.folder.name

    @property
    def experiment(self) -> str:
        """Name of the experiment, which the runs of one config share."""
        return self.folder.parent.name

    def create(self) -> "Run":
        """Make `folder` and `root`.

        Returns:
            This run, whose `root` is the next free folder if another process took it meanwhile.

        Raises:
            RunError: If a folder of that name exists already, or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=self.resumed or self.again)
            if self.root == self.folder:
                self._refuse_links()
            created = self if self.root == self.folder else replace(self, root=new_folder(self.root))
            # mkdir() says nothing about an existing folder that may only be read
            probe = created.root / f".writable-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
            return created
        except FileExistsError as error:
            raise RunError(
                f"The run folder {error.filename} exists already, and a run never overwrites another",
                "give another --run_id, or continue that run with "
                f"--ckpt_path {shlex.quote(str(self.folder / CHECKPOINT_FOLDER / LAST_NAME))}",
            ) from error
        except OSError as error:
            raise RunError(
                f"Cannot write to the run folder {self.root} ({error.strerror})",
                "give a folder that you may write to with --runs_dir",
            ) from error

    def _refuse_links(self) -> None:
        """Make sure that what is written below the folder stays there: others may have made it."""
        own = os.path.realpath(self.folder)
        for path in (*self.folder.glob("*"), *self.folder.glob("*/*")):
            if not path.is_symlink() or path.is_file():  # a file is replaced, and never written through
                continue
            if not Path(os.path.realpath(path)).is_relative_to(own):
                raise RunError(
                    f"{path} is a link that leads out of the run's folder, where the run would write",
                    "put the folder in its place; a link to the whole run's folder may lie anywhere",
                )

    def remove_if_empty(self) -> None:
        """A start that failed before anything was written leaves no folder."""
        for folder in dict.fromkeys([self.root, self.folder, self.folder.parent]):
            try:
                folder.rmdir()
            except OSError:
                return


def plan_run(
    verb: str,
    experiment: str,
    runs_dir: Path,
    run_id: str | None,
    checkpoint: Path | None,
    again: bool = False,
) -> Run:
    """Decide where a verb writes, without touching the disk.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        experiment: Name that the runs of one config share.
        runs_dir: Folder of all experiments.
        run_id: Name for a new run; `new_run_id()` if None.
        checkpoint: What the verb starts from. If it lies in a run folder, that run is continued.
        again: Whether a folder of that `run_id` may exist already, without a checkpoint.

    Raises:
        RunError: If the names are not plain folder names, or `run_id` asks for another run than the
            checkpoint's.
    """
    existing = run_of_checkpoint(checkpoint) if checkpoint else None
    if existing and run_id and existing.name != run_id:
        raise RunError(
            f"--run_id {run_id} asks for a new run, but the checkpoint {checkpoint} belongs to the run "
            f"{existing.name}, which would be continued",
            "leave --run_id out, or copy the checkpoint out of its run folder to start a new run from it",
        )
    chosen = os.environ.get("WANDB_RUN_ID") or None
    for option, name in (("experiment", experiment), ("run_id", run_id), ("WANDB_RUN_ID", chosen)):
        if name is not None and not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
            raise RunError(
                f"{option} is {name!r}, which is not a plain folder name",
                "use letters, digits, '-', '_' and '.' only",
            )
    folder = existing or runs_dir.expanduser().absolute() / experiment / (run_id or new_run_id())
    root = folder if verb == "fit" else free_path(folder / verb)
    return Run(folder, root, verb, resumed=existing is not None or (again and folder.exists()), again=again)


def new_run_id() -> str:
    """Time stamp and a random suffix, e.g. `20261122-184512-7f3a`; under a W&B sweep, the sweep's choice."""
    return os.environ.get("WANDB_RUN_ID") or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run folder that `checkpoint` was written by, or None if it lies elsewhere."""
    folder = checkpoint.absolute().parent
    is_run = folder.name == CHECKPOINT_FOLDER and (folder.parent / CONFIG_NAME).is_file()
    return folder.parent if is_run else None


def checkpoint_in(path: Path) -> Path:
    """The best checkpoint of the run in a folder, or its last; a file, or a model's own folder, as it is.

    Raises:
        RunError: If the folder has none.
    """
    from lightning_modules.checkpoints.repository import WEIGHTS_NAME  # which imports torch

    if not path.is_dir() or (path / WEIGHTS_NAME).is_file():
        return path
    for name in (BEST_NAME, LAST_NAME):
        if (found := path / CHECKPOINT_FOLDER / name).is_file():
            return found
    raise RunError(
        f"{path} holds no {CHECKPOINT_FOLDER}/{BEST_NAME} and no {LAST_NAME}",
        "give the folder of a run, runs/<experiment>/<run id>, or the path of a checkpoint",
    )


def latest_config(folder: Path) -> Path:
    """The options that the run in `folder` was last started or continued with."""
    # counted, not dated: clocks may go backwards
    return [folder / CONFIG_NAME, *numbered(folder, "config-resume-*.yaml")][-1]


def numbered(folder: Path, pattern: str) -> list[Path]:
    """Paths below `folder` that match `pattern`, by the number in the place of its star."""
    start, star, end = pattern.partition("*")
    found = {}
    for path in folder.glob(pattern):
        number = str(path.relative_to(folder))[len(start) : -len(end) or None]
        if star and number.isdecimal() and number.isascii():
            found[path] = int(number)
    return sorted(found, key=found.__getitem__)


def next_config_path(root: Path) -> Path:
    """A file name for the resolved options that is not taken yet."""
    path = root / CONFIG_NAME
    return free_path(root / "config-resume-1.yaml") if path.exists() else path


def new_folder(path: Path) -> Path:
    """Make the folder `path`, or the one of the next free number; no other process gets the same."""
    while True:
        path = free_path(path)
        try:
            path.mkdir()
            return path
        except FileExistsError:
            continue


def free_path(path: Path, taken: Collection[str] = ()) -> Path:
    """`path`, or if that exists the next free number: `test`, `test-2`; `a-1.yaml`, `a-2.yaml`.

    Args:
        path: What is asked for.
        taken: Names that others will ask for, and that are not given in place of `path`.

    Raises:
        RunError: If `path` ends in no name, as `.` and `..` do.
    """
    if path.name in ("", ".."):
        raise RunError(f"{path} is no name of something new", f"give one, e.g. {path / 'new'}")
    wanted = path
    stem, number = re.fullmatch(r"(.*?)(?:-(\d+))?", path.stem, re.DOTALL).groups()  # type: ignore[union-attr]
    count = int(number or 1)
    while os.path.lexists(path) or (path != wanted and path.name in taken):
        count += 1
        path = path.with_name(f"{stem}-{count}{path.suffix}")
    return path
