"""Checkpoint files are written in whole or not at all."""

from pathlib import Path

import pytest
import torch

from lightning_modules.checkpoints.file import AtomicCheckpointIO
from lightning_modules.errors import CheckpointError


def test_a_checkpoint_is_written_in_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def fail_midway(content: object, part: Path) -> None:
        part.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail_midway)
    with pytest.raises(CheckpointError, match=r"Cannot write .*last.ckpt \(No space left on device\)"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [found.name for found in path.parent.iterdir()] == ["last.ckpt"]
