"""Judges what a model sounds like, on held-out clips: a few figures at validation, a whole table at test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torchmetrics import Metric

from datamodules.batch import Batch, NoteSource
from lightning_modules.audio.framing import cut_into_clips
from lightning_modules.base import GenerativeModule, Samples, can_resynthesise, can_sample, resynthesise
from lightning_modules.callbacks.comparison import PairedComparison, SetComparison, latent_scores
from lightning_modules.callbacks.note_comparison import NoteComparison
from lightning_modules.errors import OptionError
from lightning_modules.loggers.run_loggers import media_loggers
from lightning_modules.metrics.embeddings import Embedding, LogMelStatistics
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.metrics.reconstruction import (
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)
from lightning_modules.metrics.transcription import NoteListener
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.reports.scores import Score, scores_table, write_scores


class Evaluation(pl.Callback):
    """Compares what a model makes with held-out clips.

    At validation, of a model that reconstructs or renders notes, logs `val/log_mel_distance` (dB),
    `val/multi_scale_spectral_distance` and `val/si_sdr` (dB): means over all clips of the split. Of one that
    does not, samples as many clips of the training length as the split has, from the same noise each time,
    and logs `val/frechet_log_mel` (dB²) and `val/diversity` (1 is that of the split).

    At test, logs the same as `test/…`, and scores reconstructions, samples and, as the floor, real clips in
    their place: prints one table, writes `scores.json` and `scores.csv` into `trainer.default_root_dir` and
    logs each as `test/<reconstructions, samples or floor>/<score>`. With the extra `transcription` installed,
    some of the scores are of the notes that Transkun hears, which knows MAESTRO: it was trained on it.

    Args:
        metrics: More scores of what the model makes beside real clips, by name; one named as a standard
            one takes its place. Each is a metric with `update(made, real)`, both (B, C, T); a
            `metrics.ClipMean` of a model that reconstructs gets an interval in the table of the test.
        max_samples: Most clips to sample, on each device; the split's clips beyond them are not compared.
        seed: Seed of their noise.
        embeddings: What the distances between sets of clips compare; `LogMelStatistics` by default. The first
            also tells how near samples are to training clips.
        max_test_clips: About how many clips of the test split are scored, spread evenly over it.
        max_training_clips: Most training clips that samples are looked for among.
        listening_seconds: Seconds of audio in which notes are listened for at test, over all devices and sets
            of clips: about as many seconds of a CPU core. Clips are chosen evenly over the split. 0 for none.
        listening_cache: Folder that keeps what was heard, for the next test; None for none.
    """

    def __init__(
        self,
        metrics: dict[str, Metric] | None = None,
        max_samples: int = 1024,
        seed: int = 0,
        embeddings: list[Embedding] | None = None,
        max_test_clips: int = 512,
        max_training_clips: int = 2048,
        listening_seconds: float = 192.0,
        listening_cache: str | Path | None = None,
    ) -> None:
        self.added = metrics or {}
        self.max_samples = max_samples
        self.seed = seed
        self.embeddings = embeddings
        self.max_test_clips = max_test_clips
        self.max_training_clips = max_training_clips
        self.listening_seconds = listening_seconds
        self.listening_cache = listening_cache
        self.metrics: dict[str, Metric] = {}
        self.scores: list[Score] = []
        self._num_sampled = 0
        self._num_scored = 0
        self._clip_samples = 0
        self._step: int | None = None
        self._paired: PairedComparison | None = None
        self._sets: dict[str, SetComparison] = {}
        self._notes: NoteComparison | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Build the metrics for the model's sample rate."""
        self.metrics = standard_metrics(cast(GenerativeModule, pl_module)) | self.added

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember the step: the Trainer restores it for training only."""
        self._step = int(checkpoint["global_step"])

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Empty the metrics, on the module's device."""
        self._reset(pl_module)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Build the comparisons that the table needs, and empty the metrics."""
        module = cast(GenerativeModule, pl_module)
        self._reset(pl_module)
        rate = module.sample_rate
        embeddings = self.embeddings or [LogMelStatistics()]
        data = getattr(trainer, "datamodule", None)
        notes = data if isinstance(data, NoteSource) else None
        self._num_scored, self._paired, self._sets = 0, None, {}
        if can_resynthesise(module):
            added = {name: each for name, each in self.added.items() if isinstance(each, ClipMean)}
            self._paired = PairedComparison(rate, notes, module.device, module.channels, added)
            self._sets["reconstructions"] = SetComparison("reconstructions", rate, embeddings, module.device)
        if can_sample(module):
            self._sets["samples"] = SetComparison("samples", rate, embeddings, module.device)
        self._notes = self._note_comparison(module, notes, trainer.world_size)

    def _note_comparison(
        self, module: GenerativeModule, notes: NoteSource | None, devices: int
    ) -> NoteComparison | None:
        """The comparison of notes; None, said once, where the transcriber is not installed."""
        if self.listening_seconds <= 0.0 or not self._sets:
            return None
        try:
            listener = NoteListener(self.listening_cache, device=module.device)
        except OptionError as error:
            rank_zero_info(f"No scores of notes: {error.problem}. Remedy: {error.remedy}.")
            return None
        seconds = self.listening_seconds / devices
        return NoteComparison(module.sample_rate, notes, listener, seconds, 2 * len(self._sets))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch."""
        module = cast(GenerativeModule, pl_module)
        if can_resynthesise(module):
            self._update(resynthesise(module, batch), batch.waveform)
        elif can_sample(module) and (pair := self._sampled(trainer, module, batch, batch_idx)) is not None:
            self._update(*pair)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add one batch, if it is one of those that are scored."""
        batches = max(int(min(trainer.num_test_batches[0], 1 << 30)), 1)
        stride = max(-(-batches * len(batch.waveform) // self.max_test_clips), 1)
        if batch_idx % stride != 0:
            return
        module = cast(GenerativeModule, pl_module)
        self._num_scored += len(batch.waveform)
        self._clip_samples = batch.waveform.shape[-1]
        if can_resynthesise(module):
            output = resynthesise(module, batch)
            self._update(output, batch.waveform)
            assert self._paired is not None  # on_test_epoch_start
            self._paired.update(output, batch)
            self._sets["reconstructions"].update(output, batch.waveform)
            if self._notes is not None:
                self._notes.update_pairs(output, batch)
        if can_sample(module) and (pair := self._sampled(trainer, module, batch, batch_idx)) is not None:
            self._sets["samples"].update(*pair)
            if self._notes is not None:
                self._notes.update_samples(*pair)
            if not can_resynthesise(module):
                self._update(*pair)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the figures."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score, and log."""
        module = cast(GenerativeModule, pl_module)
        self._log("test", pl_module)
        if "samples" in self._sets:
            for clips in training_clips(trainer, module, self.max_training_clips):
                self._sets["samples"].update_known(clips)
        self.scores = [] if self._paired is None else self._paired.scores()
        for compared in self._sets.values():
            self.scores += compared.scores()
        if self._notes is not None:
            self.scores += self._notes.scores(module.device)
        for score in self.scores:
            if score.value is not None:
                module.log(f"test/{score.of}/{score.name}", score.value, rank_zero_only=True)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and print, in the first process; callbacks listed after this one find the files there."""
        if not trainer.is_global_zero or not self._sets:
            return
        module = cast(GenerativeModule, pl_module)
        own = self._logged_by_the_model(trainer)
        self.scores += latent_scores(module, own.get("test/bits_per_second"))
        about = self._about(trainer, module)
        write_scores(Path(trainer.default_root_dir), {**about, "logged": own}, self.scores)
        clips = f"{about['num_clips']} clips of {about['clip_seconds']:g} s"
        upload_scores(trainer, self.scores)
        print_scores(f"{type(module).__name__}, step {about['step']}, {clips}", self.scores, own)

    def _logged_by_the_model(self, trainer: pl.Trainer) -> dict[str, float]:
        """Scalars of this test that the model itself logged, by name."""
        scores = {f"test/{score.of}/{score.name}" for score in self.scores}
        of_callback = self.metrics.keys() - self.added.keys()
        known = (
            scores
            | {f"test/{score.name}" for score in self.scores}
            | {f"test/{name}" for name in of_callback}
        )
        logged = sorted(trainer.callback_metrics.items())
        return {name: value.item() for name, value in logged if name not in known}

    def _about(self, trainer: pl.Trainer, module: GenerativeModule) -> dict[str, Any]:
        """The model, its step and the clips that the scores are of."""
        kind = type(module)
        return {
            "model": f"{kind.__module__}.{kind.__qualname__}",
            "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "step": trainer.global_step if self._step is None else self._step,
            "sample_rate": module.sample_rate,
            "split": "test",
            "num_clips": self._num_scored * trainer.world_size,
            "clip_seconds": self._clip_samples / module.sample_rate,
            "data": dict(getattr(getattr(trainer, "datamodule", None), "identity", {})),
        }

    def _reset(self, pl_module: pl.LightningModule) -> None:
        self._num_sampled = 0
        for metric in self.metrics.values():
            metric.to(pl_module.device).reset()

    def _sampled(
        self, trainer: pl.Trainer, module: Samples, batch: Batch, batch_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Samples, and as many real clips of their length; None if there are enough already."""
        real = cut_into_clips(batch.waveform, module.clip_samples)
        real = real[: self.max_samples - self._num_sampled]
        if len(real) == 0:
            return None
        self._num_sampled += len(real)
        seed = self.seed + batch_idx * trainer.world_size + trainer.global_rank
        return sample_like(module, real, seed), real

    def _update(self, output: torch.Tensor, real: torch.Tensor) -> None:
        for metric in self.metrics.values():
            metric.update(output, real)

    def _log(self, stage: str, pl_module: pl.LightningModule) -> None:
        for name, metric in self.metrics.items():
            shown = name in ("log_mel_distance", "frechet_log_mel")
            pl_module.log(f"{stage}/{name}", metric.compute(), prog_bar=shown)


def standard_metrics(module: GenerativeModule) -> dict[str, Metric]:
    """Scores of every validation: clip by clip where there are originals, otherwise of sets of clips."""
    rate = module.sample_rate
    if can_resynthesise(module):
        return {
            "log_mel_distance": LogMelDistance(rate),
            "multi_scale_spectral_distance": MultiScaleSpectralDistance(),
            "si_sdr": ScaleInvariantSDR(),
        }
    return {"frechet_log_mel": FrechetLogMel(rate), "diversity": Diversity(rate)}


def upload_scores(trainer: pl.Trainer, scores: list[Score]) -> None:
    """Send scores to the loggers as one table."""
    columns = ["name", "of", "value", "low", "high", "unit", "better"]
    rows = [[getattr(score, column) for column in columns] for score in scores]
    for logger in media_loggers(trainer):
        logger.log_table("test/scores", columns, rows, trainer.global_step)


def print_scores(title: str, scores: list[Score], own: dict[str, float]) -> None:
    """Print scores as one table, with the scalars that the model logged by itself."""
    from rich.console import Console  # only a test needs it

    Console(markup=False, emoji=False).print(scores_table(title, scores, own))


def sample_like(module: Samples, real: torch.Tensor, seed: int) -> torch.Tensor:
    """As many clips as `real` (B, C, T), of its length, from the noise of `seed`."""
    with seeded_noise(seed, module.device):
        return module.sample(len(real), real.shape[-1])


def training_clips(trainer: pl.Trainer, module: GenerativeModule, max_clips: int) -> Iterator[torch.Tensor]:
    """Training clips (B, C, T) on the module's device, at most `max_clips`; none if the data has none."""
    data = getattr(trainer, "datamodule", None)
    if data is None or max_clips < 1:
        return
    try:
        loader = data.train_dataloader()
    except Exception as error:  # of any data module: a test split alone can be scored as well
        rank_zero_warn(f"no training clips, so nearest_training_distance is left out ({error})")
        return
    left = max_clips
    for batch in loader:
        waveform = trainer.strategy.batch_to_device(batch).waveform[:left, :, : module.clip_samples]
        left -= len(waveform)
        yield waveform
        if left <= 0:
            return
