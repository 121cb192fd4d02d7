"""Judges what a model sounds like, on held-out clips."""

from typing import cast

import lightning.pytorch as pl
import torch
from torchmetrics import Metric

from lightning_modules.base import GenerativeModule, WaveformBatch
from lightning_modules.callbacks.audio_logger import same_noise
from lightning_modules.framing import cut_into_clips
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)


class Evaluation(pl.Callback):
    """Compares what a model makes with held-out clips, at validation and test.

    Of a model that reconstructs, logs `<stage>/log_mel_distance` (dB),
    `<stage>/multi_scale_spectral_distance` and `<stage>/si_sdr` (dB): means over all clips of the split. Of
    one that does not, samples as many clips of the training length as the split has, from the same noise each
    time, and logs `<stage>/frechet_log_mel` (dB²) and `<stage>/diversity` (1 is that of the split).

    Args:
        max_samples: Most clips to sample, on each device; the split's clips beyond them are not compared.
        seed: Seed of their noise.
    """

    def __init__(self, max_samples: int = 1024, seed: int = 0) -> None:
        self.max_samples = max_samples
        self.seed = seed
        self.metrics: dict[str, Metric] = {}
        self._num_sampled = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Build the metrics for the model's sample rate."""
        module = cast(GenerativeModule, pl_module)
        rate = module.sample_rate
        if module.can_reconstruct:
            self.metrics = {
                "log_mel_distance": LogMelDistance(rate),
                "multi_scale_spectral_distance": MultiScaleSpectralDistance(),
                "si_sdr": ScaleInvariantSDR(),
            }
        else:
            self.metrics = {"frechet_log_mel": FrechetLogMel(rate), "diversity": Diversity(rate)}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from nothing, on the module's device."""
        self._reset(pl_module)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from nothing, on the module's device."""
        self._reset(pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: WaveformBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch."""
        self._update(trainer, pl_module, batch, batch_idx)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: WaveformBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch."""
        self._update(trainer, pl_module, batch, batch_idx)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the figures."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the figures."""
        self._log("test", pl_module)

    def _reset(self, pl_module: pl.LightningModule) -> None:
        self._num_sampled = 0
        for metric in self.metrics.values():
            metric.to(pl_module.device).reset()

    def _update(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: WaveformBatch, batch_idx: int
    ) -> None:
        module = cast(GenerativeModule, pl_module)
        if module.can_reconstruct:
            output, real = module.reconstruct(batch.waveform), batch.waveform
        else:
            real = cut_into_clips(batch.waveform, module.clip_samples)
            real = real[: self.max_samples - self._num_sampled]
            if len(real) == 0:
                return
            self._num_sampled += len(real)
            output = sample_like(
                module, real, self.seed + batch_idx * trainer.world_size + trainer.global_rank
            )
        for metric in self.metrics.values():
            metric.update(output, real)

    def _log(self, stage: str, pl_module: pl.LightningModule) -> None:
        for name, metric in self.metrics.items():
            shown = name in ("log_mel_distance", "frechet_log_mel")
            pl_module.log(f"{stage}/{name}", metric.compute(), prog_bar=shown)


def sample_like(module: GenerativeModule, real: torch.Tensor, seed: int) -> torch.Tensor:
    """As many clips as `real` (B, C, T), of its length, from the noise of `seed`."""
    with same_noise(seed, module.device):
        return module.sample(len(real), real.shape[-1])
