"""Something to listen to and to look at while a model trains."""

from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor

from datamodules.batch import Batch, part_of
from lightning_modules.base import GenerativeModule, can_resynthesise, can_sample, resynthesise
from lightning_modules.callbacks.validation_samples import ValidationSamples
from lightning_modules.loggers.media import Cell, MediaLogger

TABLE_COLUMNS = ["step", "clip", "kind", "peak", "audio", "spectrogram"]
"""Of the table of samples; `peak` is the largest absolute sample."""


class AudioLogger(ValidationSamples):
    """Every few validations, writes clips as WAV and mel spectrograms as PNG, and sends them to the loggers.

    For a module that can reconstruct, or renders notes: the same validation clips each time, spread evenly
    over the validation split, as original and reconstruction. For every module: samples drawn from the same
    noise each time. Files go to `samples/step_<global step>/` in the run folder: `clip_0_original.wav`,
    `clip_0_reconstruction.wav`, `clip_0.png`, `sample_0.wav`, `sample_0.png`. Random numbers of training are
    not touched.

    Args:
        every_n_validations: How many validations lie between two writings; the first validation of a run and
            the last one always write.
        num_clips: Number of validation clips; 0 for none.
        num_generated: Number of generated clips of a model that can sample; 0 for none.
        clip_seconds: Longest part of a validation clip to write, from its start.
        generated_seconds: Length of the generated clips; None for the training clip length.
        temperature: Temperature of the generated clips.
        seed: Seed of their noise.
    """

    def __init__(
        self,
        every_n_validations: int = 1,
        num_clips: int = 4,
        num_generated: int = 4,
        clip_seconds: float = 8.0,
        generated_seconds: float | None = None,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_validations, seed)
        self.num_clips = self.at_least("num_clips", num_clips, 0)
        self.num_generated = self.at_least("num_generated", num_generated, 0)
        self.clip_seconds = clip_seconds
        self.generated_seconds = generated_seconds
        self.temperature = temperature
        self._clips: list[Batch] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the clips of the last validation."""
        self._clips = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's first clips, if it is one of those spread over the split."""
        if dataloader_idx == 0 and can_resynthesise(pl_module) and self.is_due(trainer):
            batches = max(int(min(trainer.num_val_batches[0], 1 << 30)), 1)
            wanted = [index * batches // self.num_clips for index in range(self.num_clips)]
            longest = round(self.clip_seconds * pl_module.sample_rate)
            for index in range(min(wanted.count(batch_idx), len(batch.waveform))):
                self._clips.append(part_of(batch, slice(index, index + 1), 0, longest, pl_module.sample_rate))

    def write(  # noqa: D102
        self, trainer: pl.Trainer, module: GenerativeModule, folder: Path
    ) -> Callable[[MediaLogger], None]:
        with trainer.precision_plugin.forward_context():
            groups = self._reconstructions(module) | self._generated(module)
        for name, waveforms in groups.items():
            write_group(folder, name, waveforms, module.sample_rate)
        step = trainer.global_step
        return lambda logger: log_groups(logger, folder, groups, step)

    def _generated(self, module: GenerativeModule) -> dict[str, dict[str, Tensor]]:
        """Name of each clip -> title -> (C, T)."""
        if self.num_generated == 0 or not can_sample(module):
            return {}
        seconds = self.generated_seconds
        num_samples = None if seconds is None else round(seconds * module.sample_rate)
        samples = module.sample(self.num_generated, num_samples, self.temperature)  # (N, C, T)
        return {f"sample_{index}": {"sample": clip} for index, clip in enumerate(samples)}

    def _reconstructions(self, module: GenerativeModule) -> dict[str, dict[str, Tensor]]:
        """Name of each clip -> title -> (C, T)."""
        clips, self._clips = self._clips, []
        return {
            f"clip_{index}": {"original": clip.waveform[0], "reconstruction": resynthesise(module, clip)[0]}
            for index, clip in enumerate(clips)
        }


def write_group(folder: Path, name: str, waveforms: dict[str, Tensor], sample_rate: int) -> None:
    """Write `<name>_<title>.wav` for each waveform (C, T), and their spectrograms as `<name>.png`.

    A group of one waveform is written as `<name>.wav`.
    """
    import soundfile  # both take long to import and are needed here only

    from lightning_modules.reports.figures import spectrogram_figure

    for title, waveform in waveforms.items():
        stem = file_stem(name, title, waveforms)
        pcm = waveform.detach().float().clamp(-1.0, 1.0).cpu().T.numpy()  # (T, C)
        soundfile.write(folder / f"{stem}.wav", pcm, sample_rate, subtype="PCM_16")
    spectrogram_figure(waveforms, sample_rate).savefig(folder / f"{name}.png")


def log_groups(
    logger: MediaLogger, folder: Path, groups: dict[str, dict[str, Tensor]], global_step: int
) -> None:
    """Send the files that `write_group` wrote: audio by title, pictures by kind, and a table of it all."""
    audio: dict[str, list[Path]] = {}
    for name, waveforms in groups.items():
        for title in waveforms:
            audio.setdefault(title, []).append(folder / f"{file_stem(name, title, waveforms)}.wav")
    for title, paths in audio.items():
        logger.log_audio(f"audio/{title}", paths, global_step)
    for kind in ("clip", "sample"):  # apart, since W&B shows pictures of one size only in one panel
        pictures = [folder / f"{name}.png" for name in groups if name.startswith(kind)]
        if pictures:
            logger.log_pictures(f"spectrogram/{kind}", pictures, global_step)
    logger.log_table("samples", TABLE_COLUMNS, table_rows(folder, groups, global_step), global_step)


def file_stem(name: str, title: str, waveforms: dict[str, Tensor]) -> str:
    """Name of the WAV file of one waveform of a group, without `.wav`."""
    return f"{name}_{title}" if len(waveforms) > 1 else name


def table_rows(folder: Path, groups: dict[str, dict[str, Tensor]], global_step: int) -> list[list[Cell]]:
    """A row for each waveform, as `TABLE_COLUMNS` says."""
    rows: list[list[Cell]] = []
    for name, waveforms in groups.items():
        for title, waveform in waveforms.items():
            peak = waveform.detach().float().abs().amax().item()
            player = folder / f"{file_stem(name, title, waveforms)}.wav"
            rows.append([global_step, name, title, peak, player, folder / f"{name}.png"])
    return rows
