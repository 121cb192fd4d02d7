"""Checkpoint files: written in whole or not at all, and compared with their checksums when read."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.fabric.utilities.rank_zero import rank_zero_warn

from datamodules.files import whole_file
from lightning_modules.checkpoints.repository import read_repository
from lightning_modules.checkpoints.trust import LARGEST_NUMBER
from lightning_modules.checkpoints.upgrade import upgraded
from lightning_modules.errors import CheckpointError

KEY = "generative_module"
"""Where a checkpoint describes itself."""
SPAWNED_NAME = ".temp.ckpt"
"""Name of the file in which Lightning's spawned or forked processes hand the weights back."""
_SIZES = ("sample_rate", "clip_samples", "channels")
_TORCH_WRITE_ERROR = re.compile(r"inline_container|PytorchStreamWriter|file write|iostream", re.IGNORECASE)
"""Pattern of the messages of the RuntimeError by which torch reports a disk that refuses a write."""


def check_is_whole(path: Path) -> None:
    """Compare a checkpoint's content with its checksums, which torch.load does not do.

    Raises:
        CheckpointError: If the file is missing, truncated, changed, or no checkpoint.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist", "give the path of a checkpoint, e.g. runs/…/best.ckpt"
        )
    if _is_zip(path):
        _check_sums(path)
        return
    with path.open("rb") as file:
        begins_as_archive = file.read(4) == b"PK\x03\x04"
    if begins_as_archive:
        raise CheckpointError(
            f"{path} is truncated ({path.stat().st_size} bytes)",
            "copy it again, or use another checkpoint of the run",
        )
    raise CheckpointError(f"{path} is not a checkpoint", "give a file that `lightning fit` wrote")


def check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Make sure that a zip holds no more than it is large: neither torch nor numpy compress.

    Raises:
        CheckpointError: If it does.
    """
    members = archive.infolist()
    compressed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if compressed or sum(member.file_size for member in members) > path.stat().st_size:
        what = f"{compressed[0]} is compressed" if compressed else "its parts overlap"
        raise CheckpointError(
            f"{path} would become larger than the file is: {what}", "use a file that this program wrote"
        )


def _is_zip(path: Path) -> bool:
    """Whether it is a zip, be it a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True


def _check_sums(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(path, archive)
            bad = archive.testzip()
    except Exception as error:  # whatever a damaged directory makes zipfile raise
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {error}", "use another checkpoint of the run") from error
    if bad is not None:
        raise CheckpointError(
            f"{path} is damaged: {bad} does not match its checksum",
            "copy it again, or use another checkpoint of the run (`fit --fall_back true` finds one)",
        )


def read_checkpoint(path: str | Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint's content, or that of a model's folder, without running code from it.

    Raises:
        CheckpointError: If the file is missing, truncated, no checkpoint, one of another program, or refused.
    """
    path = Path(path)
    if path.is_dir():
        content, weights = read_repository(path)
        step = content.pop("global_step", None)
        return _checked(path, {KEY: content, "state_dict": weights, "global_step": step})
    check_is_whole(path)
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds pickled objects besides tensors and plain values; opening those could run code",
            "save a checkpoint with this program, which writes none",
        ) from error
    except Exception as error:  # whatever a damaged file makes torch raise
        raise CheckpointError(f"{path} is damaged: {error}", "use another checkpoint of the run") from error
    return _checked(path, checkpoint)


def _checked(path: Path, checkpoint: Any) -> dict[str, Any]:  # noqa: ANN401 (whatever a file holds)
    """The checkpoint in the present format, if it is one of this program."""
    content = checkpoint.get(KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(content, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(
            f"{path} is a checkpoint, but not one of this program: it has no {KEY!r}",
            "give one that `lightning fit` wrote",
        )
    content = upgraded(content, "module", str(path))
    _check_content(path, content, checkpoint["state_dict"])
    step = checkpoint.get("global_step")
    if step is not None and not (isinstance(step, int) and 0 <= step < 1 << 63):
        raise _damaged(path, "global_step")
    return {**checkpoint, KEY: content}


def _check_content(path: Path, content: dict[str, Any], weights: dict[Any, Any]) -> None:
    """Whether the parts that others rely on are there, of the types that they have."""
    kinds = {"module": dict, **dict.fromkeys(_SIZES, int), "versions": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(content.get(name), kind)]
    wrong = wrong or [each for each in _SIZES if not 0 < content[each] <= LARGEST_NUMBER]
    if not wrong and not isinstance(content["module"].get("class_path"), str):
        wrong = ["module"]
    wrong += [
        f"state_dict.{name}"
        for name, weight in weights.items()
        if not isinstance(name, str) or not isinstance(weight, torch.Tensor)
    ]
    wrong += [] if isinstance(content.get("data"), dict | None) else ["data"]
    if wrong:
        raise _damaged(path, wrong[0])


def _damaged(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged: {name} is missing, or not what it should be", "use another checkpoint of the run"
    )


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the destination, then renames: a kill leaves the old checkpoint or the new one, whole.

    Lightning's own way writes to the system's temporary folder and moves, which is a copy between file
    systems, and holds a second copy of the checkpoint in memory.

    Args:
        patient: Whether a checkpoint that cannot be written, say because the disk is full, is a warning: the
            run goes on, keeps the checkpoint it has, and the next writing may succeed.
    """

    def __init__(self, patient: bool = False) -> None:
        super().__init__()
        self.patient = patient
        self.failure: CheckpointError | None = None
        """The error that kept the latest checkpoint from being written; None if it was written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write `checkpoint` to `path`, in whole or not at all.

        Raises:
            CheckpointError: If the disk refuses it and this object is not patient.
        """
        try:
            self._save(checkpoint, Path(path))
            self.failure = None
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _TORCH_WRITE_ERROR.search(str(error)):
                raise
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            self.failure = CheckpointError(
                f"Cannot write the checkpoint {path} ({reason})",
                "free some space or make the folder writable; what was written before is whole",
            )
            if not self.patient:
                raise self.failure from error
            rank_zero_warn(f"{self.failure.problem}; training goes on and will try again", stacklevel=2)

    def _save(self, checkpoint: dict[str, Any], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ANN401 (torch.load's many forms)
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint after comparing it with its checksums; see `read_checkpoint`."""
        if Path(path).name == SPAWNED_NAME:
            check_is_whole(Path(path))
            return torch.load(path, map_location="cpu", weights_only=True)
        return read_checkpoint(path, map_location if map_location is not None else "cpu")
