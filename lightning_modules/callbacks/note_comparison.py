"""The notes that are heard in what a model made: the part of `lightning test` that hears music."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from datamodules.batch import Batch, NoteSource
from lightning_modules.audio.notes import HeardNotes, NoteList
from lightning_modules.callbacks.comparison import ClipValues, interval_score
from lightning_modules.metrics.intervals import bootstrap_distance, bootstrap_mean, split_half_floor
from lightning_modules.metrics.note_scores import (
    histogram_distance,
    interval_counts,
    note_f_score,
    notes_per_second,
    pitch_class_counts,
    polyphony,
    silent_share,
    struck_within,
    velocity_correlation,
)
from lightning_modules.metrics.transcription import SEGMENT_SECONDS, NoteListener, clips_per_segment
from lightning_modules.reports.scores import Score, Subject

Item = TypeVar("Item")
PAIRED = ("note_f_score", "note_offset_f_score", "velocity_correlation")
KINDS = ("notes_per_second", "polyphony", "silent_share")
HISTOGRAMS = ("pitch_class_distance", "interval_distance")
PAIR_COLUMNS: tuple[tuple[Subject, int], ...] = (("reconstructions", 0), ("floor", 1))
SAMPLE_COLUMNS: tuple[tuple[Subject, int], ...] = (("samples", 0), ("floor", 1))


class EvenlySpread(Generic[Item]):
    """Keeps a few items of a stream whose length nobody knows, evenly spread over it.

    Args:
        limit: Most items to keep, at least half as many of a long stream.
    """

    def __init__(self, limit: int) -> None:
        self.limit = max(limit, 1)
        self.items: list[Item] = []
        self._stride, self._seen = 1, 0

    def wants_next(self) -> bool:
        """Whether the next item is one to keep; counts it, and makes room for it."""
        is_wanted = self._seen % self._stride == 0
        if is_wanted and len(self.items) == self.limit:
            self.items = self.items[::2]
            self._stride *= 2
            is_wanted = self._seen % self._stride == 0 and len(self.items) < self.limit
        self._seen += 1
        return is_wanted


class NoteComparison:
    """Notes heard: in reconstructions or renderings and originals against those played, in samples without.

    Clips are kept until all have been seen; then some of them, evenly spread, are listened to.

    Args:
        sample_rate: Rate of the audio in Hz.
        notes: Who knows the played notes, or None.
        listener: Who hears.
        seconds: Of audio that this process may listen to.
        num_sets: Into how many sets of clips that is divided.
    """

    def __init__(
        self,
        sample_rate: int,
        notes: NoteSource | None,
        listener: NoteListener,
        seconds: float,
        num_sets: int,
    ) -> None:
        self.sample_rate = sample_rate
        self.notes = notes
        self.listener = listener
        self.segments = max(int(seconds / num_sets / SEGMENT_SECONDS), 1)
        self._pairs: EvenlySpread[tuple[Tensor, Tensor, NoteList]] | None = None
        self._samples: EvenlySpread[tuple[Tensor, Tensor]] | None = None

    def update_pairs(self, output: Tensor, batch: Batch) -> None:
        """Add the model's version (B, C, T) of a batch whose notes are known."""
        clip_samples = batch.waveform.shape[-1]
        if self.notes is None:
            return
        self._pairs = self._pairs or EvenlySpread(self._limit(clip_samples))
        places = zip(batch.performance.tolist(), batch.start_sample.tolist(), strict=True)
        for made, original, (performance, start) in zip(output, batch.waveform, places, strict=True):
            played = self.notes.notes(performance, start, clip_samples)
            if played is not None and self._pairs.wants_next():
                self._pairs.items.append((_copy(made), _copy(original), played))

    def update_samples(self, samples: Tensor, real: Tensor) -> None:
        """Add samples and as many real clips: (B, C, T) each."""
        self._samples = self._samples or EvenlySpread(self._limit(samples.shape[-1]))
        for made, original in zip(samples, real, strict=True):
            if self._samples.wants_next():
                self._samples.items.append((_copy(made), _copy(original)))

    def scores(self, device: torch.device) -> list[Score]:
        """Listen, and score; values of all processes are gathered on `device`."""
        pairs = [] if self._pairs is None else self._pairs.items
        samples = [] if self._samples is None else self._samples.items
        values: dict[tuple[str, Subject], ClipValues] = {}
        with self._progress(2 * (self._cost(pairs) + self._cost(samples))):
            for of, column in PAIR_COLUMNS:
                names: tuple[str, ...] = PAIRED if self._pairs is not None else ()
                values |= {(name, of): ClipValues().to(device) for name in names}
                for clip, heard, (_, _, played) in self._heard(pairs, column):
                    for name, value in agreement(played, heard, clip.shape[-1] / self.sample_rate).items():
                        values[name, of].update(torch.tensor([value], device=device))
            for of, column in SAMPLE_COLUMNS:
                names = (*KINDS, *HISTOGRAMS) if self._samples is not None else ()
                values |= {(name, of): ClipValues().to(device) for name in names}
                for clip, heard, _ in self._heard(samples, column):
                    for name, row in character(heard, clip.shape[-1] / self.sample_rate).items():
                        values[name, of].update(row[None].to(device))
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*called before the ``update``.*"
            )  # no clip has a value
            return scores_of({key: each.compute() for key, each in values.items()})

    def _limit(self, clip_samples: int) -> int:
        return self.segments * clips_per_segment(clip_samples / self.sample_rate)

    def _cost(self, items: Sequence[tuple[Any, ...]]) -> float:
        """Seconds of audio to listen to for one clip of each item."""
        if not items:
            return 0.0
        seconds = items[0][0].shape[-1] / self.sample_rate
        return -(-len(items) // clips_per_segment(seconds)) * max(seconds, SEGMENT_SECONDS)

    def _heard(
        self, items: Sequence[tuple[Any, ...]], column: int
    ) -> Iterator[tuple[Tensor, HeardNotes, tuple[Any, ...]]]:
        """The clip of a column, what is heard in it, and the whole item."""
        if items:
            clips = torch.stack([item[column] for item in items])
            for clip, heard, item in zip(clips, self.listener(clips, self.sample_rate), items, strict=True):
                if heard is not None:  # a listener's own budget may be spent
                    yield clip, heard, item

    @contextmanager
    def _progress(self, seconds: float) -> Iterator[None]:
        """A bar of the seconds of audio that are left to listen to."""
        from rich.progress import Progress

        with Progress(transient=True, disable=seconds == 0.0) as bar:
            task = bar.add_task("Listening for notes (seconds of audio)", total=seconds)
            self.listener.progress = lambda heard: bar.advance(task, heard)
            yield
        self.listener.progress = None


def agreement(played: NoteList, heard: NoteList, seconds: float) -> dict[str, float]:
    """How well the notes heard in a clip are those played: scores that have a value."""
    struck = struck_within(played, seconds)
    found = (
        note_f_score(struck, heard),
        note_f_score(struck, heard, with_offsets=True),
        velocity_correlation(struck, heard),
    )
    return {name: value for name, value in zip(PAIRED, found, strict=True) if not math.isnan(value)}


def character(heard: NoteList, seconds: float) -> dict[str, Tensor]:
    """Properties of the notes of a clip: scalars, and the counts of histograms."""
    figures = (notes_per_second, polyphony, silent_share)
    counts = (pitch_class_counts, interval_counts)
    scalars = {name: torch.tensor(f(heard, seconds)) for name, f in zip(KINDS, figures, strict=True)}
    return scalars | {
        name: torch.from_numpy(f(heard, seconds)) for name, f in zip(HISTOGRAMS, counts, strict=True)
    }


def scores_of(values: Mapping[tuple[str, Subject], Tensor]) -> list[Score]:
    """Means over clips, and distances of histograms, with their intervals.

    Args:
        values: (N,), or (N, F) counts, by name and what they are of; empty ones are left out.
    """
    known = {key: each for key, each in values.items() if len(each)}
    found = [
        interval_score(name, of, bootstrap_mean(each))
        for (name, of), each in known.items()
        if name not in HISTOGRAMS
    ]
    for name in HISTOGRAMS:
        if (name, "samples") in known and (name, "floor") in known:
            made, real = known[name, "samples"][:, None], known[name, "floor"][:, None]  # (N, 1, F)
            distance = bootstrap_distance(histogram_distance, made, real)
            found.append(interval_score(name, "samples", distance))
            if len(real) > 3:
                floor = split_half_floor(histogram_distance, real)
                found.append(interval_score(name, "floor", floor))
    return found


def _copy(clip: Tensor) -> Tensor:
    """(C, T) on the CPU; a slice would keep the whole batch alive."""
    return clip.detach().float().cpu().clone()
