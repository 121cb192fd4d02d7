"""The listening report of a test: one page with players, pictures and scores."""

import os
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor

from datamodules.batch import Batch, NoteSource, part_of
from lightning_modules.base import GenerativeModule, can_resynthesise, can_sample, renders_notes, resynthesise
from lightning_modules.checkpoints.description import describe
from lightning_modules.errors import OptionError
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.reports.html import REPORT_NAME, write_report
from lightning_modules.reports.listening_set import (
    Clip,
    ListeningSet,
    Note,
    note_records,
    write_listening_set,
)
from lightning_modules.reports.results import read_results


class ListeningReport(pl.Callback):
    """At the end of a test, writes `report.html` and, for `lightning compare`, the audio it is made of.

    The clips are the first of each performance of the test split, in its order, then the first ones that are
    left, whatever the batch size: two runs on the same data get the same clips. Samples are drawn from the
    same noise each time. Under several devices the first one writes, from its part of the split.

    Args:
        num_clips: Number of test clips; 0 for none.
        num_generated: Number of generated clips of a model that can sample; 0 for none.
        clip_seconds: Longest part of a test clip to show, from its start.
        generated_seconds: Length of the generated clips; None for the training clip length.
        temperature: Temperature of the generated clips.
        seed: Seed of their noise.

    Raises:
        OptionError: If a number makes no sense.
    """

    def __init__(
        self,
        num_clips: int = 6,
        num_generated: int = 4,
        clip_seconds: float = 16.0,
        generated_seconds: float | None = None,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        for name, value in (("num_clips", num_clips), ("num_generated", num_generated)):
            if value < 0:
                raise OptionError(f"ListeningReport's {name} is {value}", "give at least 0")
        for name, seconds in (("clip_seconds", clip_seconds), ("generated_seconds", generated_seconds)):
            if seconds is not None and not 0 < seconds <= 600:
                raise OptionError(
                    f"ListeningReport's {name} is {seconds}", "give seconds above 0, and at most 600"
                )
        self.num_clips = num_clips
        self.num_generated = num_generated
        self.clip_seconds = clip_seconds
        self.generated_seconds = generated_seconds
        self.temperature = temperature
        self.seed = seed
        self._choice = ClipChoice(num_clips)
        self._loaded_step = 0

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the step: testing a checkpoint does not restore the Trainer's."""
        self._loaded_step = checkpoint["global_step"]

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the clips of the last test."""
        self._choice = ClipChoice(self.num_clips)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what the report shows of the batch."""
        if trainer.is_global_zero and dataloader_idx == 0:
            longest = max(1, round(self.clip_seconds * cast(GenerativeModule, pl_module).sample_rate))
            rate = cast(GenerativeModule, pl_module).sample_rate
            places = zip(batch.performance.tolist(), batch.start_sample.tolist(), strict=True)
            for index, (performance, start) in enumerate(places):
                if self._choice.wants(performance):
                    clip = part_of(batch, slice(index, index + 1), 0, longest, rate)
                    self._choice.add(performance, start, clip.to(torch.device("cpu")))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write audio and page; the module is in evaluation mode and gradients are off."""
        if not trainer.is_global_zero:
            return
        module = cast(GenerativeModule, pl_module)
        root = Path(trainer.default_root_dir)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            content, audio = self._listen(trainer, module)
        write_listening_set(root, content, audio)
        write_report(root / REPORT_NAME, [read_results(root)])
        rank_zero_info(f"Listening report: {root / REPORT_NAME}")

    def _listen(
        self, trainer: pl.Trainer, module: GenerativeModule
    ) -> tuple[ListeningSet, dict[str, NDArray[np.float32]]]:
        """The manifest, and file name -> (C, T)."""
        audio: dict[str, NDArray[np.float32]] = {}
        clips, made = [], "rendering" if renders_notes(module) else "reconstruction"
        for number, (performance, start, clip) in enumerate(self._choice.clips()):
            waveform = clip.waveform[0]  # (C, T)
            original, reconstruction = f"clip_{number}_original.wav", None
            audio[original] = as_array(waveform)
            if can_resynthesise(module):
                reconstruction = f"clip_{number}_{made}.wav"
                output = resynthesise(module, clip.to(module.device))[0]
                audio[reconstruction] = as_array(output)
            place = (performance, start, waveform.shape[-1])
            clips.append(describe_clip(trainer, module.sample_rate, place, original, reconstruction))
        samples = self._samples(module)
        audio |= samples
        step = trainer.global_step if trainer.ckpt_path is None else self._loaded_step
        return describe_test(trainer, module, step, tuple(clips), tuple(samples)), audio

    def _samples(self, module: GenerativeModule) -> dict[str, NDArray[np.float32]]:
        """File name -> (C, T)."""
        if self.num_generated == 0 or not can_sample(module):
            return {}
        seconds = self.generated_seconds
        num_samples = None if seconds is None else max(1, round(seconds * module.sample_rate))
        with seeded_noise(self.seed, module.device):
            waveforms = module.sample(self.num_generated, num_samples, self.temperature)  # (N, C, T)
        return {f"sample_{number}.wav": as_array(clip) for number, clip in enumerate(waveforms)}


class ClipChoice:
    """The first clip of each performance; where that is too few, the first of the others.

    Args:
        num_clips: How many to choose at most.
    """

    def __init__(self, num_clips: int) -> None:
        self.num_clips = num_clips
        self._first: dict[int, tuple[int, int, Batch]] = {}
        self._others: list[tuple[int, int, Batch]] = []

    def wants(self, performance: int) -> bool:
        """Whether one more clip of a performance would be kept."""
        if performance not in self._first and len(self._first) < self.num_clips:
            return True
        return performance in self._first and len(self._others) < self.num_clips

    def add(self, performance: int, start: int, clip: Batch) -> None:
        """Keep a clip that is wanted, a batch of one, which begins at the sample `start`."""
        if performance not in self._first:
            self._first[performance] = (performance, start, clip)
        else:
            self._others.append((performance, start, clip))

    def clips(self) -> list[tuple[int, int, Batch]]:
        """Performance, first sample and batch of each chosen clip, in the split's order."""
        chosen = [*self._first.values(), *self._others][: self.num_clips]
        order = {performance: number for number, performance in enumerate(self._first)}
        return sorted(chosen, key=lambda clip: (order[clip[0]], clip[1]))


def describe_clip(
    trainer: pl.Trainer,
    sample_rate: int,
    place: tuple[int, int, int],
    original: str,
    reconstruction: str | None,
) -> Clip:
    """Manifest entry of a clip.

    Args:
        trainer: Its data module may know the performances (`performances`: records with `audio`, `title`,
            `composer`, `year` as far as known, or the names of their files) and their notes.
        sample_rate: In Hz.
        place: Performance, first sample and length in samples.
        original: Name of its file.
        reconstruction: Name of the file of its reconstruction, if there is one.
    """
    performance, start, num_samples = place
    datamodule = getattr(trainer, "datamodule", None)
    known = getattr(datamodule, "performances", ())
    facts = known[performance] if performance < len(known) else None
    details = [getattr(facts, name, None) for name in ("composer", "year")]
    is_file = isinstance(facts, str | os.PathLike)
    file, title = (facts, "") if is_file else (getattr(facts, name, None) for name in ("audio", "title"))
    # titles are for people: where nobody gave one, the file's name says more than a number
    name = f"Performance {performance}" if file is None else Path(file).stem
    return Clip(
        recording=str(file or f"performance {performance}"),
        title=str(title or name),
        subtitle=", ".join(str(detail) for detail in details if detail),
        start_seconds=start / sample_rate,
        seconds=num_samples / sample_rate,
        original=original,
        reconstruction=reconstruction,
        notes=read_notes(datamodule, *place),
    )


def read_notes(datamodule: object, performance: int, start: int, num_samples: int) -> tuple[Note, ...] | None:
    """Notes of a clip, to the millisecond; None if the data module knows none."""
    if not isinstance(datamodule, NoteSource):
        return None
    notes = datamodule.notes(performance, start, num_samples)
    return None if notes is None else note_records(notes)


def describe_test(
    trainer: pl.Trainer,
    module: GenerativeModule,
    step: int,
    clips: tuple[Clip, ...],
    samples: tuple[str, ...],
) -> ListeningSet:
    """The manifest: what was tested, and on what."""
    identity: dict[str, Any] = describe(getattr(getattr(trainer, "datamodule", None), "identity", None) or {})
    return ListeningSet(
        model=f"{type(module).__module__}.{type(module).__qualname__}",
        checkpoint=None if trainer.ckpt_path is None else str(trainer.ckpt_path),
        step=step,
        sample_rate=module.sample_rate,
        data=identity,
        clips=clips,
        samples=samples,
    )


def as_array(waveform: Tensor) -> NDArray[np.float32]:
    """(C, T) on any device -> (C, T) float32."""
    return np.asarray(waveform.detach().float().cpu().numpy(), dtype=np.float32)
