"""Two processes on one machine train as one process does on the same global batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = '''
import functools, sys
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader
from datamodules.batch import Batch
from lightning_modules.losses.adversarial import WassersteinLoss
from lightning_modules.losses.feature_mapping import FeatureStatistics
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.networks.feature_encoder import LogMelFeatures
from lightning_modules.networks.generator import WaveGANGenerator
from lightning_modules.networks.heads import DenseScoreHead, LinearFeatureHead
from lightning_modules.schedules.updates import AdaptiveUpdates
from lightning_modules.wavegan import WaveGAN

STEPS = 3


class Draws(Callback):
    """The same random numbers in every process and every run, and the losses of each step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(batch_idx)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        losses = [trainer.callback_metrics[f"train/{side}_loss"] for side in ("critic", "generator")]
        self.losses.append([trainer.strategy.reduce(loss, reduce_op="mean") for loss in losses])


def main(devices, path, precision):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trunk = WaveGANTrunk(1024, 2)
    # not Adam, which makes a whole step of a gradient that is rounding noise: weights could not be compared
    sgd = functools.partial(torch.optim.SGD, lr=1e-2)
    model = WaveGAN(
        16000, 1024, WaveGANGenerator(1024, 2, 8), trunk, DenseScoreHead(8), WassersteinLoss(),
        AdaptiveUpdates(0.9, 0.6, 2, 2), sgd, sgd, LogMelFeatures(16000, 64, 256, 8),
        LinearFeatureHead(8, 8, 1), FeatureStatistics(), gradient_penalty=GradientPenalty(),
        encoder_weight=2.0, gradient_clip_norm=100.0,
    )
    draws = Draws()
    trainer = Trainer(
        max_steps=STEPS, accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
        precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[draws], use_distributed_sampler=False,
    )
    # a global batch of 8 clips for 2 critic updates; process r has the clips 4 r to 4 r + 3
    clips = 0.2 * torch.randn(STEPS, 8, 1, 1024, generator=torch.Generator().manual_seed(5))
    own = clips.chunk(devices, dim=1)[trainer.global_rank]
    zeros = torch.zeros(own.shape[1], dtype=torch.long)
    batches = [Batch(part, zeros, zeros) for part in own]
    trainer.fit(model, DataLoader(batches, batch_size=None))
    if trainer.is_global_zero:
        weights = {name: value for name, value in model.state_dict().items()}
        torch.save({"losses": torch.tensor(draws.losses), "weights": weights}, path)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
'''


def train(folder: Path, devices: int, precision: str) -> dict:
    program, result = folder / "train.py", folder / f"{devices}-{precision}.pt"
    program.write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, program, str(devices), result, precision],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return torch.load(result, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 1e-4), ("bf16-mixed", 0.05)])
def test_two_processes_match_one(tmp_path, precision, tolerance):
    one, two = (train(tmp_path, devices, precision) for devices in (1, 2))
    torch.testing.assert_close(two["losses"], one["losses"], rtol=tolerance, atol=tolerance)
    if precision == "32-true":
        for name, value in one["weights"].items():
            torch.testing.assert_close(two["weights"][name], value, rtol=1e-3, atol=2e-4, msg=name)
