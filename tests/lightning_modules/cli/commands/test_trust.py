"""Every verb that opens a checkpoint refuses one that would run code."""

import pickle
from pathlib import Path

import pytest
import torch

from lightning_modules.checkpoints.file import KEY
from lightning_modules.cli import main


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


ARGUMENTS = {
    "generate": [],
    "reconstruct": ["a.wav"],
    "interpolate": ["1", "2"],
    "export": [],
}


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_a_planted_payload_is_refused(verb, tmp_path, capsys):
    mark, checkpoint = tmp_path / "mark", tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, KEY: Payload(mark)}, checkpoint, pickle_module=pickle)
    torch.load(checkpoint, weights_only=False)
    assert mark.exists(), "the payload must work"
    mark.unlink()
    with pytest.raises(SystemExit) as end:
        main([verb, str(checkpoint), *ARGUMENTS[verb], "--output", str(tmp_path / "out")])
    assert end.value.code == 1
    assert "evil.ckpt holds pickled objects besides tensors" in capsys.readouterr().err
    assert not mark.exists() and not (tmp_path / "out").exists()
