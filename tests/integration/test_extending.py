"""Parts of one's own, in a file beside the experiment, named on the command line: they train and score."""

import csv
import json
from pathlib import Path

import pytest

from lightning_modules.cli import main

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

SHORT = [
    "--trainer.max_steps=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.val_check_interval=1",
    "--trainer.accelerator=cpu",
]
OWN_PARTS = '''
import lightning.pytorch as pl
import torch

from lightning_modules.distributions import StandardNormal
from lightning_modules.losses import SpectralLoss
from lightning_modules.metrics import ClipMean
from lightning_modules.networks import DenseScoreHead
from lightning_modules.schedules import UpdateSchedule
from datamodules import MaestroDataModule


class WideNormal(StandardNormal):
    """A prior: N(0, 4)."""

    def sample(self, num_clips, num_frames, temperature=1.0):
        return super().sample(num_clips, num_frames, 2.0 * temperature)


class WaveformDistance(SpectralLoss):
    """A loss."""

    def forward(self, estimate, target):
        return (estimate - target).abs().mean()


class PeakDifference(ClipMean):
    """A score."""

    def values(self, estimate, target):
        return (estimate.abs().amax((1, 2)) - target.abs().amax((1, 2))).abs()


class PeakLogger(pl.Callback):
    """A column of the CSV."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.log("train/peak", batch.waveform.abs().max())


class HalfScoreHead(DenseScoreHead):
    """A head of the critic."""

    def forward(self, maps):
        return [0.5 * scores for scores in super().forward(maps)]


class ThreeUpdates(UpdateSchedule):
    """An update schedule: three of the critic before each of the generator."""

    max_critic_steps = 3
    needs_accuracy = False

    def __init__(self):
        super().__init__()
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def critic_is_next(self):
        return bool(self.done < 3)

    def after_critic(self, accuracy):
        self.done += 1

    def after_generator(self, accuracy):
        self.done.zero_()


class QuietData(MaestroDataModule):
    """A data set."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch._replace(waveform=0.5 * batch.waveform)
'''


@pytest.fixture
def own_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_parts.py").write_text(OWN_PARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LIGHTNING_TRUST", "own_parts")
    return "own_parts"


def columns(run: Path) -> set[str]:
    with (next(run.glob("metrics/*/metrics.csv"))).open() as file:
        return set(next(csv.reader(file)))


def test_parts_of_a_vae(own_parts, tiny_run_data, tmp_path):
    score = {"peak_difference": {"class_path": f"{own_parts}.PeakDifference"}}
    main(
        [
            "fit",
            f"--config={ROOT}/experiments/vae.yaml",
            "--run_id=one",
            "--model.latent_size=4",
            f"--model.prior={own_parts}.WideNormal",
            "--model.prior.latent_size=4",
            f"--model.spectral_loss={own_parts}.WaveformDistance",
            f"--data={own_parts}.QuietData",
            "--trainer.callbacks+=lightning_modules.callbacks.Evaluation",
            f"--trainer.callbacks.metrics={json.dumps(score)}",
            f"--trainer.callbacks+={own_parts}.PeakLogger",
            *tiny_run_data,
            *SHORT,
        ]
    )
    run = tmp_path / "runs/vae/one"
    assert {"train/peak", "val/peak_difference", "val/log_mel_distance"} <= columns(run)
    main(["test", f"--ckpt_path={run}/checkpoints/best.ckpt"])
    assert "peak_difference" in (run / "test/scores.csv").read_text()


def test_parts_of_a_wavegan(own_parts, tiny_run_data, tmp_path):
    main(
        [
            "fit",
            f"--config={ROOT}/experiments/wavegan.yaml",
            "--run_id=one",
            f"--model.score_head={own_parts}.HalfScoreHead",
            "--model.score_head.hidden_size=128",
            f"--model.update_schedule={own_parts}.ThreeUpdates",
            *tiny_run_data,
            "--data.batch_size=3",
            *SHORT,
        ]
    )
    assert (tmp_path / "runs/wavegan/one/checkpoints/best.ckpt").is_file()
