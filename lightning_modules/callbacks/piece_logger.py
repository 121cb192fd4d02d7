"""Pieces to look at, and to listen to, while a model of notes trains."""

from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl

from lightning_modules.audio.files import UnclippedAudioSink
from lightning_modules.audio.midi_sink import MidiSink
from lightning_modules.base import (
    Composes,
    GenerativeModule,
    ReadsNotes,
    RendersNotes,
    can_compose,
    load_module,
    renders_notes,
)
from lightning_modules.callbacks.validation_samples import ValidationSamples
from lightning_modules.errors import OptionError
from lightning_modules.loggers.media import Cell, MediaLogger
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P
from lightning_modules.runs.folder import checkpoint_in

TABLE_COLUMNS = ["step", "piece", "notes", "roll"]
"""Of the table of pieces; with a model that plays them, their sound comes last."""

RING_SECONDS = 2.0
"""How long the sound goes on after the last note may have ended."""


class PieceLogger(ValidationSamples):
    """Every few validations, composes pieces, writes MIDI and piano rolls, and sends them to the loggers.

    Each piece is drawn from the same seed each time. Files go to `samples/step_<global step>/` in the run
    folder: `piece_0.mid`, `piece_0.png` and, with `render`, `piece_0.wav`. Random numbers of training are not
    touched.

    Args:
        every_n_validations: Every which validation writes; the last one of a run always does.
        num_pieces: Number of pieces.
        seconds: Length of a piece.
        temperature: Below 1 is more typical, above 1 more varied; 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together have this probability.
        most_tokens: A piece ends after as many at the latest: an untrained model strikes keys without end.
        render: A checkpoint of a model that plays notes, or its run, to hear the pieces; None for none.
        seed: Of the first piece; the others take the seeds that follow.

    Raises:
        OptionError: If an option has a value that makes no sense.
    """

    def __init__(
        self,
        every_n_validations: int = 1,
        num_pieces: int = 2,
        seconds: float = 20.0,
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        most_tokens: int = 1000,
        render: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_validations, self.at_least("seed", seed, 0), at_first=False)
        self.num_pieces = self.at_least("num_pieces", num_pieces, 1)
        self.most_tokens = self.at_least("most_tokens", most_tokens, 1)
        for name, value, makes_sense, remedy in (
            ("seconds", seconds, seconds > 0.0, "give more than 0"),
            ("temperature", temperature, temperature >= 0.0, "give at least 0"),
            ("top_p", top_p, 0.0 < top_p <= 1.0, "give more than 0, and at most 1"),
        ):
            if not makes_sense:
                raise OptionError(f"PieceLogger's {name} is {value}", remedy)
        self.seconds = seconds
        self.temperature = temperature
        self.top_p = top_p
        self.render = render
        self._player: RendersNotes | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make sure that there will be pieces.

        Raises:
            OptionError: If the model composes nothing, or the data has no notes.
        """
        if stage == "fit":
            self._composer(pl_module)
            self._data(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the model that plays the pieces.

        Raises:
            OptionError: If it plays no notes.
            RunError: If there is no checkpoint of it.
            CheckpointError: If that cannot be opened.
        """
        if self.render is None or not trainer.is_global_zero:
            return
        with seeded_noise(self.seed, pl_module.device):  # a model's weights are drawn before they are read
            player = load_module(checkpoint_in(Path(self.render)), pl_module.device)
        if not renders_notes(player):
            raise OptionError(
                f"PieceLogger's render is {self.render}, a {type(player).__name__} that plays no notes",
                "give a run of experiments/wavegan_notes.yaml, or leave it out",
            )
        self._player = player

    def write(  # noqa: D102
        self, trainer: pl.Trainer, module: GenerativeModule, folder: Path
    ) -> Callable[[MediaLogger], None]:
        composer, data, step = self._composer(module), self._data(trainer), trainer.global_step
        rows: list[list[Cell]] = []
        for index in range(self.num_pieces):
            stem = folder / f"piece_{index}"
            with trainer.precision_plugin.forward_context():
                num_notes = self._write_notes(composer, data, stem, self.seed + index)
            row: list[Cell] = [step, stem.name, num_notes, stem.with_suffix(".png")]
            if self._player is not None:
                row.append(self._play(self._player, data, stem) if num_notes else None)
            rows.append(row)
        return lambda logger: log_pieces(logger, rows, step)

    def _write_notes(self, composer: Composes, data: ReadsNotes, stem: Path, seed: int) -> int:
        """Compose a piece into a MIDI file and a picture; returns the number of its notes."""
        from lightning_modules.reports.piano_roll import PianoRoll  # which takes a second to import

        drawing = (self.seconds, seed, self.temperature, self.top_p, self.most_tokens)
        roll = PianoRoll()
        with MidiSink(stem.with_suffix(".mid")) as midi:
            for event in composer.compose(data.token_reader(), *drawing):
                event.write_to(midi)
                event.write_to(roll)
        title = f"seed {seed}, temperature {self.temperature:g}, top-p {self.top_p:g}, {len(roll)} notes"
        figure = roll.figure(self.seconds, title)
        figure.savefig(stem.with_suffix(".png"), metadata={"Software": None})
        return len(roll)

    def _play(self, player: RendersNotes, data: ReadsNotes, stem: Path) -> Path:
        """Write the sound of a piece."""
        num_samples = round((self.seconds + RING_SECONDS) * player.sample_rate)
        midi = stem.with_suffix(".mid").read_bytes()
        notes = data.note_batch(midi, player.sample_rate, num_samples + player.lookahead_samples)
        waveform = player.render(notes.to(player.device), num_samples + player.lookahead_samples)[0]
        path = stem.with_suffix(".wav")
        with UnclippedAudioSink(path, player.sample_rate, player.channels) as sink:
            sink.write(waveform[:, :num_samples].float().cpu().numpy())
        return path

    @staticmethod
    def _composer(module: pl.LightningModule) -> Composes:
        if can_compose(module):
            return module
        raise OptionError(
            f"PieceLogger: {type(module).__name__} composes nothing",
            "take the callback out; AudioLogger is for models of sound",
        )

    @staticmethod
    def _data(trainer: pl.Trainer) -> ReadsNotes:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, ReadsNotes):
            return data
        raise OptionError(
            f"PieceLogger: the data, {type(data).__name__}, has no tokens of notes",
            "use datamodules.MaestroNotesDataModule",
        )


def log_pieces(logger: MediaLogger, rows: list[list[Cell]], step: int) -> None:
    """Send the files of pieces, and a table of it all."""
    rolls, sounds = (
        [cell for row in rows for cell in row if isinstance(cell, Path) and cell.suffix == suffix]
        for suffix in (".png", ".wav")
    )
    logger.log_pictures("piano_roll/piece", rolls, step)
    if sounds:
        logger.log_audio("audio/piece", sounds, step)
    with_sound = len(rows[0]) > len(TABLE_COLUMNS)
    logger.log_table("pieces", [*TABLE_COLUMNS, "audio"] if with_sound else TABLE_COLUMNS, rows, step)
