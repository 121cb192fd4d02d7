"""WaveGAN against MelGAN and HiFi-GAN as vocoders: the same features, clips, steps and time.

    pytest -m benchmark -s tests/benchmarks/test_vocoders.py

Trains `experiments/wavegan_conditional.yaml` and its overlays on the embedded release and judges them on
the test split twice, after as many generator updates and after as many seconds of training; evaluation is
not counted. MAESTRO_VOCODER_STEPS and MAESTRO_VOCODER_SECONDS set both.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from lightning_modules.cli.trainer import TrainerCLI
from lightning_modules.metrics.reconstruction import LogMelDistance, MultiScaleSpectralDistance

pytestmark = pytest.mark.benchmark

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RIVALS = {"WaveGAN": None, "MelGAN": "melgan", "HiFi-GAN": "hifigan"}
STEPS = int(os.environ.get("MAESTRO_VOCODER_STEPS", "200"))
SECONDS = float(os.environ.get("MAESTRO_VOCODER_SECONDS", "90"))


class Scores(NamedTuple):
    """Distances from the test split."""

    spectral: float
    log_mel: float
    step: int


class Milestones(Callback):
    """Judges a model after `STEPS` updates and after `SECONDS` of training, then stops."""

    def __init__(self, clips: torch.Tensor) -> None:
        self.clips = clips
        self.seconds = 0.0
        self.at_steps: Scores | None = None
        self.at_seconds: Scores | None = None
        self.seconds_per_step = 0.0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seconds += time.perf_counter() - self._start
        self.seconds_per_step = self.seconds / trainer.global_step
        if trainer.global_step == STEPS:
            self.at_steps = self._judge(trainer, pl_module)
        if self.at_seconds is None and self.seconds >= SECONDS:
            self.at_seconds = self._judge(trainer, pl_module)
        trainer.should_stop = self.at_steps is not None and self.at_seconds is not None

    @torch.no_grad()
    def _judge(self, trainer, pl_module) -> Scores:
        metrics = MultiScaleSpectralDistance(), LogMelDistance(pl_module.sample_rate)
        for clip in self.clips.split(1):
            output = pl_module.reconstruct(clip)
            for metric in metrics:
                metric.update(output, clip)
        return Scores(*(metric.compute().item() for metric in metrics), trainer.global_step)


@torch.no_grad()
def real_time_factor(model: torch.nn.Module, clip: torch.Tensor) -> float:
    """Seconds of audio resynthesised per second, features included."""
    model.reconstruct(clip)
    start = time.perf_counter()
    model.reconstruct(clip)
    return clip.shape[-1] / model.sample_rate / (time.perf_counter() - start)


def train(name: str, start) -> str:
    """One row of the table."""
    overlay = RIVALS[name]
    change = [] if overlay is None else ["--config", EXPERIMENTS / f"ablations/{overlay}.yaml"]
    cli = start("fit", "--config", EXPERIMENTS / "wavegan_conditional.yaml", *change)
    data, model = cli.datamodule, cli.model
    data.prepare_data()
    data.setup(None)
    clips = torch.cat([data.on_after_batch_transfer(batch, 0).waveform for batch in data.test_dataloader()])
    milestones = Milestones(clips)
    quiet = {name: False for name in ("logger", "enable_checkpointing", "enable_progress_bar")}
    trainer = Trainer(
        max_epochs=-1,
        accelerator="cpu",
        callbacks=[milestones],
        limit_val_batches=0,
        enable_model_summary=False,
        **quiet,
    )
    trainer.fit(model, datamodule=data)
    counts = [
        sum(p.numel() for p in part.parameters()) / 1e6
        for part in (model.generator, torch.nn.ModuleList([model.trunk, model.score_head]))
    ]
    one, two = milestones.at_steps, milestones.at_seconds
    return (
        f"{name:9} {counts[0]:6.2f} {counts[1]:6.2f} {milestones.seconds_per_step:8.3f} "
        f"{real_time_factor(model.eval(), clips[:1]):7.0f}x {one.spectral:9.2f} {one.log_mel:8.2f} "
        f"{two.spectral:11.2f} {two.log_mel:8.2f} {two.step:7d}"
    )


def test_vocoders(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)

    def start(*arguments):
        return TrainerCLI.start([*map(str, arguments), "--trainer.accelerator", "cpu"])

    with capsys.disabled():
        print(
            f"\n{torch.get_num_threads()} threads; parameters in millions; multi-scale spectral distance and "
            f"log-mel distance in dB\n{'':9} {'G':>6} {'D':>6} {'s/step':>8} {'speed':>8} | "
            f"after {STEPS} steps | after {SECONDS:.0f} s of training\n"
            f"{'':41} spectral  log-mel    spectral  log-mel  steps"
        )
        for name in RIVALS:
            print(train(name, start), flush=True)
