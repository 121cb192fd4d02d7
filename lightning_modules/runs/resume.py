"""Which checkpoint a verb starts from."""

import glob
import re
from pathlib import Path

from lightning_modules.errors import CheckpointError, RunError
from lightning_modules.runs.folder import (
    BEST_NAME,
    CHECKPOINT_FOLDER,
    INTERRUPTED_NAME,
    LAST_NAME,
    checkpoint_in,
    latest_config,
)

CONFIG_KEY = "run_config"
"""Where a checkpoint names the config that it was written under."""
NEEDED = {
    "optimizer_states": "optimiser state",
    "lr_schedulers": "position of schedules",
    "loops": "position in training",
}
"""What a checkpoint holds that training can go on from."""
AUTO = "auto"
"""`--ckpt_path auto`: go on with the run `--run_id` where it stands, or start it."""


def find_checkpoint(
    ckpt_path: str,
    runs_dir: Path,
    experiment: str | None,
    run_id: str | None = None,
    verb: str = "fit",
) -> Path | None:
    """Turn the option `ckpt_path` into a file.

    Args:
        ckpt_path: A path; the folder of a run, for its last checkpoint to train on from, its best for other
            verbs; `last` or `best` for the newest run that has one, or for the run `run_id`; `auto`
            for the last of the run `run_id`, or none if there is none yet.
        runs_dir: Folder of all experiments.
        experiment: Where to look; None looks in all experiments.
        run_id: Which run to look in; None looks in all.
        verb: What is done with it.

    Raises:
        RunError: If there is no such file, or `auto` comes without `run_id`.
        CheckpointError: If it cannot be told which checkpoint of a run is the last, for one is damaged.
    """
    if ckpt_path not in ("last", "best", AUTO):
        folder = Path(ckpt_path).expanduser()
        if not (folder / CHECKPOINT_FOLDER).is_dir():
            return _existing(ckpt_path)
        if verb != "fit":
            return checkpoint_in(folder).absolute()
        runs_dir, experiment, run_id = (
            folder.absolute().parents[1],
            folder.absolute().parent.name,
            folder.name,
        )
        ckpt_path = "last"
    if ckpt_path == AUTO and run_id is None:
        raise RunError(
            "--ckpt_path auto goes on with a run of a given name, or starts it, but no name is given",
            "add --run_id NAME, or say --ckpt_path last for the newest run",
        )
    folders = runs_dir.expanduser().glob(f"{_pattern(experiment)}/{_pattern(run_id)}/{CHECKPOINT_FOLDER}")
    names = (BEST_NAME,) if ckpt_path == "best" else (LAST_NAME, INTERRUPTED_NAME)
    found = [folder / name for folder in folders for name in names if (folder / name).is_file()]
    if not found and ckpt_path == AUTO:
        return None
    if not found:
        raise RunError(
            f"--ckpt_path {ckpt_path}: no run below {runs_dir / (experiment or '')} has a checkpoint yet",
            "run `lightning fit` first, or give the path of a checkpoint",
        )
    newest = max(found, key=lambda path: path.stat().st_mtime_ns).absolute()
    both = [newest.with_name(name) for name in names if newest.with_name(name).is_file()]
    return newest if len(both) == 1 else max(both, key=lambda path: (_steps_or_most(path), path == newest))


def _pattern(name: str | None) -> str:
    """Of the folder of that name, whatever letters are in it; of all folders if there is none.

    Raises:
        RunError: If it is no name of a folder.
    """
    if name and (Path(name).name != name or name == ".."):
        raise RunError(f"{name!r:.100} is no name of a run or an experiment", "give one without '/'")
    return glob.escape(name) if name else "*"


def _existing(ckpt_path: str) -> Path:
    path = Path(ckpt_path).expanduser()
    if not path.is_file():
        raise RunError(
            f"--ckpt_path {ckpt_path}: no such file",
            "give the path of a checkpoint, 'last' or 'best' for the newest run of the experiment, or 'auto' "
            "with --run_id",
        )
    return path.absolute()


def _steps_or_most(path: Path) -> float:
    """Steps of a checkpoint; a damaged one comes first, to be noticed rather than passed over."""
    try:
        return checkpoint_step(path)
    except CheckpointError:
        return float("inf")


def readable_checkpoint(checkpoint: Path | None) -> Path | None:
    """`checkpoint` if it is undamaged, else the one of the same folder that has most steps; says which.

    Raises:
        CheckpointError: If there is none.
    """
    if checkpoint is None:
        return None
    names = (LAST_NAME, INTERRUPTED_NAME, BEST_NAME)
    others = [checkpoint.with_name(name) for name in names if name != checkpoint.name]
    try:
        checkpoint_step(checkpoint)
        return checkpoint
    except CheckpointError as error:
        damage = error
    steps = {}
    for path in others:
        try:
            steps[path] = checkpoint_step(path)
        except CheckpointError:
            continue
    if not steps:
        raise CheckpointError(f"{damage.problem}; no other checkpoint of the run can be read", damage.remedy)
    previous = max(steps, key=steps.__getitem__)
    print(f"warning: {damage.problem}; going on from {previous}, step {steps[previous]}", flush=True)
    return previous


def config_of_checkpoint(checkpoint: Path, folder: Path) -> Path:
    """The options that a checkpoint in the run `folder` was written under; the latest if it does not say."""
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        name = content.get(CONFIG_KEY)
    except Exception:  # of a damaged file, which whoever opens it will say
        name = None
    if (
        isinstance(name, str)
        and re.fullmatch(r"config(-resume-\d+)?\.yaml", name)
        and (folder / name).is_file()
    ):
        return folder / name
    return latest_config(folder)


def check_goes_on(path: Path) -> None:
    """Make sure before anything is built that training can go on from a checkpoint.

    Raises:
        CheckpointError: If it was written without what that needs; damage is told by whoever opens it.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        missing = [what for name, what in NEEDED.items() if name not in content]
    except Exception:
        return
    if missing:
        raise CheckpointError(
            f"{path} holds no {' and no '.join(missing)}: training cannot go on from it",
            "give a checkpoint that was not written with save_weights_only",
        )


def checkpoint_step(path: Path) -> int:
    """Steps trained when a checkpoint was written, after checking that all of it is there.

    Raises:
        CheckpointError: If it is missing, damaged or no checkpoint.
    """
    import torch

    from lightning_modules.checkpoints.file import check_is_whole

    check_is_whole(path)
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {error}", "use another checkpoint of the run") from error
