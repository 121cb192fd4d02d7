"""Checkpoint files are written in whole or not at all."""

import copy
import zipfile
from pathlib import Path

import pytest
import torch

from lightning_modules.checkpoints.file import AtomicCheckpointIO, read_checkpoint
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


def test_what_torch_says_of_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def fail(content: object, part: Path) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", fail)
    writer = AtomicCheckpointIO(patient=True)
    with pytest.warns(UserWarning, match=r"Cannot write the checkpoint .*last.ckpt .*training goes on"):
        writer.save_checkpoint({"step": 2}, path)
    assert writer.failure is not None and torch.load(path, weights_only=True) == {"step": 1}

    def break_down(content: object, part: Path) -> None:
        raise RuntimeError("another mistake")

    monkeypatch.setattr(torch, "save", break_down)
    with pytest.raises(RuntimeError, match="another mistake"):
        writer.save_checkpoint({"step": 2}, path)


def test_weights_handed_back_by_spawned_processes(tmp_path: Path) -> None:
    writer = AtomicCheckpointIO(patient=True)
    writer.save_checkpoint({"layer.weight": torch.ones(2)}, tmp_path / ".temp.ckpt")
    assert torch.equal(writer.load_checkpoint(tmp_path / ".temp.ckpt")["layer.weight"], torch.ones(2))


@pytest.mark.parametrize("how", ["compressed", "overlapping"])
def test_what_would_become_larger_than_the_file_is_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "bomb.ckpt"
    compression = zipfile.ZIP_DEFLATED if how == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("data.pkl", bytes(1_000_000))
        for number in range(9 if how == "overlapping" else 0):
            member = copy.copy(archive.filelist[0])
            member.filename = f"data/{number}"
            archive.filelist.append(member)
    with pytest.raises(CheckpointError, match=r"larger than the file is: (data.pkl is c|its parts)"):
        read_checkpoint(path)
