"""Checkpoints that describe themselves."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the destination, then renames: a kill leaves the old checkpoint or the new one, whole.

    Lightning's own way writes to the system's temporary folder and moves, which is a copy between file systems,
    and holds a second copy of the checkpoint in memory.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401 (Lightning's signature)
        """Write `checkpoint` to `path`, in whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            torch.save(checkpoint, part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
