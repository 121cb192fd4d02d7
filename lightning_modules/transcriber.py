"""F by itself: a transcriber of piano, trained on recordings and the notes that were played."""

from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from datamodules.batch import Batch, NoteBatch
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.base import GenerativeModule
from lightning_modules.errors import OptionError
from lightning_modules.losses.terms import Term, weighted_sum
from lightning_modules.losses.transcription import note_targets, transcription_losses
from lightning_modules.metrics.note_scores import note_f_score, velocity_correlation
from lightning_modules.networks.note_picker import pick_notes
from lightning_modules.networks.transcriber import NoteLogits, Transcriber
from lightning_modules.optimization import with_scheduler

ONSET_THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
SOUNDING_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
MOST_CLIPS = 32
"""Validation clips, of each device, that thresholds are chosen on."""


class PianoTranscriber(GenerativeModule):
    """Waveforms to notes; it makes no sound.

    Its data must carry notes: `MaestroDataModule` with `with_notes: true`. After each validation it takes the
    thresholds that give the best F-scores there, without and with offsets; they go into the checkpoint, and
    tests and tools use them. Logs `note_f_score` (same key, onset within 50 ms), `note_offset_f_score` and
    `velocity_correlation` as `val/…` and `test/…`.

    Args:
        sample_rate: In Hz.
        clip_samples: Length of training clips in samples.
        transcriber: The network, F.
        optimizer: Makes the optimiser from the parameters.
        sounding_weight: Weight of the loss of sounding notes; that of onsets is 1.
        velocity_weight: Weight of the loss of velocities.
        onset_weight: How much more an onset counts than its absence.
        lr_scheduler: Makes a scheduler from the optimiser, stepped at every optimiser step.
        channels: Audio channels C.
    """

    def __init__(
        self,
        sample_rate: int,
        clip_samples: int,
        transcriber: Transcriber,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        sounding_weight: float = 0.3,
        velocity_weight: float = 3.0,
        onset_weight: float = 2.0,
        lr_scheduler: LRSchedulerCallable | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__(sample_rate, clip_samples, channels)
        if transcriber.sample_rate != sample_rate:
            raise OptionError(
                f"transcriber hears {transcriber.sample_rate} Hz, and the clips have {sample_rate} Hz",
                "set model.init_args.transcriber.init_args.sample_rate to ${data.init_args.sample_rate}",
            )
        self.transcriber = transcriber
        self.optimizer = optimizer
        self.sounding_weight = sounding_weight
        self.velocity_weight = velocity_weight
        self.onset_weight = onset_weight
        self.lr_scheduler = lr_scheduler
        self._heard: list[tuple[NoteLogits, HeardNotes]] = []

    def forward(self, waveform: Tensor) -> NoteLogits:
        """See `Transcriber.forward`."""
        logits: NoteLogits = self.transcriber(waveform)
        return logits

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of ten forms
        """One optimiser for the network; its scheduler steps with it."""
        return with_scheduler(self.optimizer(self.parameters()), self.lr_scheduler, every_step=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch, a scalar."""
        return self._loss("train", batch, self(batch.waveform))

    def on_validation_epoch_start(self) -> None:
        """Forget the notes heard in the last validation."""
        self._heard = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses, and keep what is heard, for the thresholds."""
        logits = self(batch.waveform)
        self._loss("val", batch, logits)
        for index, played in enumerate(played_in(batch, self.sample_rate)):
            if len(self._heard) < MOST_CLIPS:
                clip = NoteLogits(*(part[index : index + 1].cpu() for part in logits))
                self._heard.append((clip, played))

    def on_validation_epoch_end(self) -> None:
        """Choose the thresholds, and log the scores that they give."""
        if not self._heard:
            return
        kept = self.transcriber.sounding_threshold.item()
        onset = self._best([(each, kept) for each in ONSET_THRESHOLDS], with_offsets=False)[0]
        self.transcriber.set_thresholds(*self._best([(onset, each) for each in SOUNDING_THRESHOLDS], True))
        for name, value in self._scores(self._heard).items():
            self.log(f"val/{name}", value, prog_bar=name == "note_f_score", sync_dist=True)
        self._heard = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the scores with the thresholds of the checkpoint."""
        logits = self(batch.waveform)
        clips = [
            NoteLogits(*(part[index : index + 1].cpu() for part in logits)) for index in range(len(batch[0]))
        ]
        found = self._scores(list(zip(clips, played_in(batch, self.sample_rate), strict=True)))
        self.log_evaluation({f"test/{name}": value for name, value in found.items()}, len(clips))

    def _loss(self, stage: str, batch: Batch, logits: NoteLogits) -> Tensor:
        notes = notes_of(batch)
        targets = note_targets(notes, logits.onset.shape[-1], self.transcriber.hop_samples, self.sample_rate)
        losses = transcription_losses(logits, targets, self.onset_weight)
        loss, figures = weighted_sum(
            {
                "onset_loss": Term(1.0, losses.onset),
                "sounding_loss": Term(self.sounding_weight, losses.sounding),
                "velocity_loss": Term(self.velocity_weight, losses.velocity),
            }
        )
        if stage != "train":
            self.log_evaluation({f"{stage}/loss": loss.detach()}, len(batch.waveform))
        else:
            self.log_training("loss", loss, figures)
        return loss

    def _best(self, choices: list[tuple[float, float]], with_offsets: bool) -> tuple[float, float]:
        """The thresholds with the best mean F-score of what was heard, on all devices."""
        means = []
        for choice in choices:
            self.transcriber.set_thresholds(*choice)
            found = [
                note_f_score(each, pick_notes(self.transcriber, clip), with_offsets)
                for clip, each in self._heard
            ]
            means.append(sum(found) / len(found))
        table = torch.tensor(means, device=self.device)
        if self._trainer is not None:
            table = self.trainer.strategy.reduce(table, reduce_op="mean")
        return choices[int(table.argmax())]

    def _scores(self, clips: list[tuple[NoteLogits, HeardNotes]]) -> dict[str, Tensor]:
        """Means over clips; the correlation over those that have one."""
        pairs = [(played, pick_notes(self.transcriber, logits)) for logits, played in clips]
        correlations = torch.tensor([velocity_correlation(*pair) for pair in pairs], device=self.device)
        return {
            "note_f_score": _mean([note_f_score(*pair) for pair in pairs], self.device),
            "note_offset_f_score": _mean(
                [note_f_score(*pair, with_offsets=True) for pair in pairs], self.device
            ),
            "velocity_correlation": correlations.nanmean().nan_to_num(0.0),
        }


def _mean(values: list[float], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).mean()


def notes_of(batch: Batch) -> NoteBatch:
    """The notes of a batch.

    Raises:
        OptionError: If it has none.
    """
    if batch.notes is None:
        raise OptionError(
            "PianoTranscriber learns from notes, and the batches have none",
            "set data.init_args.with_notes to true",
        )
    return batch.notes


def played_in(batch: Batch, sample_rate: int) -> list[HeardNotes]:
    """The notes struck within each clip of a batch, with the ends of their sounds."""
    notes, seconds = notes_of(batch), batch.waveform.shape[-1] / sample_rate
    onset = notes.onset_seconds(sample_rate)
    inside = notes.mask & (onset >= 0.0) & (onset < seconds)
    columns = (onset, notes.pitch, notes.sounding_offset, notes.velocity)
    onset, pitch, offset, velocity = (each.double().cpu() for each in columns)
    rows = torch.stack([onset, pitch, offset, velocity], dim=-1)  # (B, M, 4)
    return [
        HeardNotes.from_rows([tuple(row) for row in clip[kept].tolist()])
        for clip, kept in zip(rows, inside.cpu(), strict=True)
    ]
