"""What a transcriber says of unseen clips beside what was played: its thresholds, and its scores."""

from collections.abc import Callable

import torch
from torch import Tensor

from datamodules.batch import Batch
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.metrics.note_scores import note_f_score, velocity_correlation
from lightning_modules.networks.note_picker import pick_notes
from lightning_modules.networks.transcriber import NoteLogits, Transcriber

ONSET_THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
SOUNDING_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
MOST_CLIPS = 32
"""Clips, of each device, that thresholds are chosen on."""


class UnseenNotes:
    """Clips that a transcriber has listened to, and their notes.

    Args:
        transcriber: Who listens; its thresholds are set by `choose_thresholds`.
        sample_rate: In Hz.
        most_clips: How many clips to keep, the first ones.
    """

    def __init__(self, transcriber: Transcriber, sample_rate: int, most_clips: int = MOST_CLIPS) -> None:
        self.transcriber = transcriber
        self.sample_rate = sample_rate
        self.most_clips = most_clips
        self.clips: list[tuple[NoteLogits, HeardNotes]] = []

    def add(self, batch: Batch, logits: NoteLogits) -> None:
        """Keep what was said of a batch, and what was played in it."""
        for index, played in enumerate(played_in(batch, self.sample_rate)):
            if len(self.clips) < self.most_clips:
                clip = NoteLogits(*(part[index : index + 1].cpu() for part in logits))
                self.clips.append((clip, played))

    def choose_thresholds(self, mean: Callable[[Tensor], Tensor] = lambda values: values) -> None:
        """Take the thresholds that give the best F-scores, first without and then with offsets.

        Args:
            mean: The mean of a tensor over processes.
        """
        kept = self.transcriber.sounding_threshold.item()
        onset = self._best([(each, kept) for each in ONSET_THRESHOLDS], False, mean)[0]
        sounding = self._best([(onset, each) for each in SOUNDING_THRESHOLDS], True, mean)
        self.transcriber.set_thresholds(*sounding)

    def _best(
        self, choices: list[tuple[float, float]], with_offsets: bool, mean: Callable[[Tensor], Tensor]
    ) -> tuple[float, float]:
        """The thresholds with the best mean F-score, on all devices."""
        means = []
        for choice in choices:
            self.transcriber.set_thresholds(*choice)
            found = [
                note_f_score(each, pick_notes(self.transcriber, clip), with_offsets)
                for clip, each in self.clips
            ]
            means.append(sum(found) / len(found))
        table = torch.tensor(means, device=self.transcriber.onset_threshold.device)
        return choices[int(mean(table).argmax())]

    def scores(self) -> dict[str, Tensor]:
        """Means over clips; the correlation over those that have one."""
        device = self.transcriber.onset_threshold.device
        pairs = [(played, pick_notes(self.transcriber, logits)) for logits, played in self.clips]
        correlations = torch.tensor([velocity_correlation(*pair) for pair in pairs], device=device)
        with_offsets = [note_f_score(*pair, with_offsets=True) for pair in pairs]
        return {
            "note_f_score": torch.tensor([note_f_score(*pair) for pair in pairs], device=device).mean(),
            "note_offset_f_score": torch.tensor(with_offsets, device=device).mean(),
            "velocity_correlation": correlations.nanmean().nan_to_num(0.0),
        }


def played_in(batch: Batch, sample_rate: int) -> list[HeardNotes]:
    """The notes struck within each clip of a batch, with the ends of their sounds."""
    notes, seconds = batch.known_notes(), batch.waveform.shape[-1] / sample_rate
    onset = notes.onset_seconds(sample_rate)
    inside = notes.mask & (onset >= 0.0) & (onset < seconds)
    columns = (onset, notes.pitch, notes.sounding_offset, notes.velocity)
    onset, pitch, offset, velocity = (each.cpu().double() for each in columns)
    rows = torch.stack([onset, pitch, offset, velocity], dim=-1)  # (B, M, 4)
    return [
        HeardNotes.from_rows([tuple(row) for row in clip[kept].tolist()])
        for clip, kept in zip(rows, inside.cpu(), strict=True)
    ]
