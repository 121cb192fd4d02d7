"""Judges what a model sounds like, on held-out clips."""

from typing import cast

import lightning.pytorch as pl

from lightning_modules.base import GenerativeModule, WaveformBatch
from lightning_modules.metrics.reconstruction import (
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)


class Evaluation(pl.Callback):
    """Compares reconstructions with their originals at validation and test, for any model that reconstructs.

    Logs `<stage>/log_mel_distance` (dB), `<stage>/multi_scale_spectral_distance` and `<stage>/si_sdr` (dB):
    means over all clips of the split. A model that does not reconstruct is left alone.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, ClipMean] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Build the metrics for the model's sample rate."""
        module = cast(GenerativeModule, pl_module)
        if module.can_reconstruct:
            self.metrics = {
                "log_mel_distance": LogMelDistance(module.sample_rate),
                "multi_scale_spectral_distance": MultiScaleSpectralDistance(),
                "si_sdr": ScaleInvariantSDR(),
            }

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
        self._update(pl_module, batch)

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
        self._update(pl_module, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the means."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the means."""
        self._log("test", pl_module)

    def _reset(self, pl_module: pl.LightningModule) -> None:
        for metric in self.metrics.values():
            metric.to(pl_module.device).reset()

    def _update(self, pl_module: pl.LightningModule, batch: WaveformBatch) -> None:
        if self.metrics:
            reconstruction = cast(GenerativeModule, pl_module).reconstruct(batch.waveform)
            for metric in self.metrics.values():
                metric.update(reconstruction, batch.waveform)

    def _log(self, stage: str, pl_module: pl.LightningModule) -> None:
        for name, metric in self.metrics.items():
            pl_module.log(f"{stage}/{name}", metric.compute(), prog_bar=name == "log_mel_distance")
