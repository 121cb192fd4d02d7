"""F by itself: a transcriber of piano, trained on recordings and the notes that were played."""

from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from datamodules.batch import Batch, NoteBatch
from lightning_modules.base import GenerativeModule
from lightning_modules.errors import OptionError
from lightning_modules.inference.note_thresholds import UnseenNotes
from lightning_modules.losses.terms import Term, weighted_sum
from lightning_modules.losses.transcription import note_targets, transcription_losses
from lightning_modules.networks.transcriber import NoteLogits, Transcriber
from lightning_modules.optimization import with_scheduler


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
        self._unseen = UnseenNotes(transcriber, sample_rate)

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
        self._unseen = UnseenNotes(self.transcriber, self.sample_rate)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses, and keep what is heard, for the thresholds."""
        logits = self(batch.waveform)
        self._loss("val", batch, logits)
        self._unseen.add(batch, logits)

    def on_validation_epoch_end(self) -> None:
        """Choose the thresholds, and log the scores that they give."""
        if not self._unseen.clips:
            return
        self._unseen.choose_thresholds(self._mean)
        for name, value in self._unseen.scores().items():
            self.log(f"val/{name}", value, prog_bar=name == "note_f_score", sync_dist=True)
        self._unseen.clips.clear()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the scores with the thresholds of the checkpoint."""
        logits = self(batch.waveform)
        heard = UnseenNotes(self.transcriber, self.sample_rate, len(batch.waveform))
        heard.add(batch, logits)
        found = heard.scores()
        self.log_evaluation({f"test/{name}": value for name, value in found.items()}, len(batch.waveform))

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

    def _mean(self, values: Tensor) -> Tensor:
        """Over all devices."""
        return values if self._trainer is None else self.trainer.strategy.reduce(values, reduce_op="mean")


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
