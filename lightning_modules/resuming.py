"""Which checkpoint a run goes on from."""

from pathlib import Path

from lightning_modules.errors import CheckpointError
from lightning_modules.runs import BEST_NAME, CHECKPOINT_FOLDER, INTERRUPTED_NAME, LAST_NAME


def checkpoint_to_resume(folder: Path, fall_back: bool = False) -> Path | None:
    """The checkpoint of a run that training got furthest in.

    That is `last.ckpt` or `interrupted.ckpt`, whichever counts more steps; `best.ckpt` if there is neither.
    File times are not asked: clocks may go backwards.

    Args:
        folder: The run's folder.
        fall_back: Whether a damaged checkpoint is passed over, with a warning, for the next one, `best.ckpt`
            included.

    Raises:
        CheckpointError: If the checkpoint is damaged and `fall_back` is off, or all are damaged.
    """
    found = [folder / CHECKPOINT_FOLDER / name for name in (LAST_NAME, INTERRUPTED_NAME, BEST_NAME)]
    found = [path for path in found if path.is_file()]
    steps: dict[Path, int] = {}
    damage: CheckpointError | None = None
    for path in found:
        if path.name == BEST_NAME and steps:
            break
        try:
            steps[path] = checkpoint_step(path)
        except CheckpointError as error:
            if not fall_back:
                raise CheckpointError(
                    error.problem,
                    "copy it again, or let the run go on from its previous checkpoint with --fall_back true",
                ) from error
            print(f"warning: {error.problem}; looking for the previous checkpoint", flush=True)
            damage = error
    if damage is not None and not steps:
        raise CheckpointError(
            f"no checkpoint in {folder} can be read; the last: {damage.problem}", damage.remedy
        )
    newest = max(steps, key=steps.__getitem__, default=None)
    if damage is not None:
        print(f"warning: going on from {newest}, step {steps[newest]}", flush=True)  # type: ignore[index]
    return newest


def checkpoint_step(path: Path) -> int:
    """Steps trained when a checkpoint was written, after checking that all of it is there.

    Raises:
        CheckpointError: If it is damaged or no checkpoint.
    """
    import torch

    from lightning_modules.checkpoint import check_is_whole

    check_is_whole(path)
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {error}", "use another checkpoint of the run") from error
