"""Writes what `lightning predict` makes."""

import csv
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from datamodules.batch import Batch
from lightning_modules.audio.files import shown
from lightning_modules.base import GenerativeModule

COLUMNS = ("file", "performance", "start_sample", "start_seconds", "num_samples", "sample_rate")


class PredictionWriter(BasePredictionWriter):
    """Writes each predicted clip as a WAV, and a manifest of the performances and seconds they come from.

    Files go to `clips/performance_0003_start_00256000.wav` (performance row, first sample) in the folder of
    the verb, beside `manifest.csv`. Under several devices each process writes its own clips and manifest.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._rows: list[tuple[str, int, int, float, int, int]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an empty manifest."""
        self._rows = []

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the clips (B, C, T) of one batch."""
        import soundfile  # only prediction needs it here

        folder = Path(trainer.default_root_dir) / "clips"
        folder.mkdir(exist_ok=True)
        rate = pl_module.sample_rate
        for clip, performance, start in zip(
            prediction, batch.performance.tolist(), batch.start_sample.tolist(), strict=True
        ):
            path = folder / f"performance_{performance:04d}_start_{start:08d}.wav"
            pcm = clip.detach().float().clamp(-1.0, 1.0).cpu().T.numpy()  # (T, C)
            soundfile.write(path, pcm, rate, subtype="PCM_16")
            self._rows.append((path.name, performance, start, start / rate, len(pcm), rate))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the manifest, the sign that every clip was written, and say where they are."""
        suffix = "" if trainer.world_size == 1 else f"_rank_{trainer.global_rank}"
        with (Path(trainer.default_root_dir) / f"manifest{suffix}.csv").open(
            "w", newline="", encoding="utf-8"
        ) as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(self._rows)
        print(f"{len(self._rows)} clip(s) in {shown(str(Path(trainer.default_root_dir) / 'clips'))}")
