"""Checkpoints as versions of a W&B artifact."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules.runs.folder import LAST_NAME
from lightning_modules.runs.resume import checkpoint_step

if TYPE_CHECKING:
    import wandb


class CheckpointVersion(NamedTuple):
    """A checkpoint as it is now; it stays so when the file is replaced.

    Attributes:
        name: Name of the artifact.
        path: A file of its own with the checkpoint's content.
        file_name: Name within the artifact.
        aliases: Names of this version.
        metadata: What is known about it.
    """

    name: str
    path: Path
    file_name: str
    aliases: list[str]
    metadata: dict[str, str | float | None]

    def artifact(self) -> "wandb.Artifact":
        """Make the artifact; W&B takes a copy of the file."""
        import wandb

        artifact = wandb.Artifact(self.name, type="model", metadata=self.metadata)
        artifact.add_file(str(self.path), name=self.file_name)
        self.path.unlink()
        return artifact


class CheckpointArtifacts:
    """Makes a version of each new best checkpoint, and one of the last when training ends.

    Checkpoints are replaced by renaming, so that a hard link keeps the old content for an upload that comes
    later, at no cost.

    Args:
        run_id: Id of the W&B run; its artifact is `model-<run id>`.
    """

    def __init__(self, run_id: str) -> None:
        self.name = f"model-{run_id}"
        self._callback: ModelCheckpoint | None = None
        self._newest = time.time_ns()  # a run that is continued has uploaded its older ones

    def new_best(self, callback: ModelCheckpoint) -> list[CheckpointVersion]:
        """One version if the best checkpoint was written since the last call, else none."""
        self._callback = callback
        path = Path(callback.best_model_path)
        written = path.stat().st_mtime_ns if path.is_file() else 0
        if written <= self._newest:
            return []
        self._newest = written
        score = callback.best_model_score
        metadata = {"monitor": callback.monitor, "score": None if score is None else float(score)}
        return [self._version("best", path, metadata)]

    def last(self) -> list[CheckpointVersion]:
        """One version if the run has a last checkpoint, else none."""
        path = Path(str(self._callback.dirpath)) / LAST_NAME if self._callback else Path()
        return [self._version("last", path, {})] if path.is_file() else []

    def _version(self, alias: str, path: Path, metadata: dict[str, str | float | None]) -> CheckpointVersion:
        step = checkpoint_step(path)
        kept = path.with_name(f".{path.stem}-{step}.upload")
        kept.unlink(missing_ok=True)
        kept.hardlink_to(path)
        return CheckpointVersion(
            self.name, kept, path.name, [alias, f"step-{step}"], {"global_step": step, **metadata}
        )
