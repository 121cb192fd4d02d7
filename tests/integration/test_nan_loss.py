"""What a run does when its loss is NaN: nothing is spoilt, the user is told, and what cannot go on ends."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from tiny_training import make_data, train

from lightning_modules.callbacks.health import Health


class NaN(pl.Callback):
    """Spoils the batches of some steps, and remembers the weights from the first of them on."""

    def __init__(self, steps: range) -> None:
        self.steps = steps
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self.steps:
            batch.waveform.fill_(float("nan"))
            self._remember(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if self.states:
            self._remember(pl_module)

    def _remember(self, module: pl.LightningModule) -> None:
        self.states.append({name: value.clone() for name, value in module.state_dict().items()})


@pytest.mark.parametrize("kind", ["vae", "wavegan"])
def test_one_step_spoils_nothing(
    tiny_release: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step is left out, and it is said; the run goes on and learns."""
    root, nan = tmp_path / "toy" / "one", NaN(range(5, 6))
    train(kind, root, make_data(tiny_release, tmp_path / "cache"), nan, Health(every_n_steps=1), max_steps=10)
    before, after = nan.states[:2]
    # a moving average goes on towards the weights, which stay; a schedule counts the turns
    trained = [name for name in before if not name.startswith(("average.", "update_schedule."))]
    assert [name for name in trained if not torch.equal(before[name], after[name])] == []
    content = torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 10
    assert all(torch.isfinite(value).all() for value in content["state_dict"].values())
    assert sum(not torch.equal(after[name], content["state_dict"][name]) for name in trained) > 10
    found, said = json.loads((root / "health.json").read_text()), capsys.readouterr().out
    assert {finding["problem"] for finding in found} == {"non_finite_gradient", "non_finite_loss"}
    assert all(finding["step"] == 6 and finding["message"] in said for finding in found)


def test_nan_for_good_ends_the_run(
    tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Early and in good order, with the weights of the last good step."""
    root, nan, health = tmp_path / "toy" / "one", NaN(range(5, 99)), Health(every_n_steps=1, max_lost_steps=3)
    train("vae", root, make_data(tiny_release, tmp_path / "cache"), nan, health)
    content = torch.load(root / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 5 + 3
    for name, value in nan.states[0].items():
        assert torch.equal(content["state_dict"][name], value), name
    assert "Training stops: no gradient was finite for 3 steps" in capsys.readouterr().out
