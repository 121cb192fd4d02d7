"""Tokens that a note prior draws as a MIDI file, and the piece that comes of it as sound and picture."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datamodules.release.notes import Played
from datamodules.release.tokens import (
    TICKS_PER_SECOND,
    NoteEvent,
    NoteReader,
    NoteTokens,
    PedalEvent,
    read_events,
)
from lightning_modules.audio.midi_sink import MidiSink
from lightning_modules.base import GenerativeModule, can_draw_tokens, other_use
from lightning_modules.cli.rendering import read_piece
from lightning_modules.errors import OptionError
from lightning_modules.inference.composition import compose, events_until
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P

Event = NoteEvent | PedalEvent


class Composer:
    """Draws pieces from the model of a checkpoint.

    Args:
        module: A note prior, in evaluation mode.

    Raises:
        OptionError: If the model draws no notes, or others than this version's tokens.
    """

    def __init__(self, module: GenerativeModule) -> None:
        if not can_draw_tokens(module):
            raise OptionError(
                f"This {type(module).__name__} composes nothing: it is no model of notes",
                f"train one: lightning fit --config experiments/note_prior.yaml{other_use(module)}",
            )
        self.network = module.token_network
        self.window_tokens = module.window_tokens
        self.vocabulary = NoteTokens()
        if self.network.vocabulary_size != len(self.vocabulary):
            raise OptionError(
                f"the model of this checkpoint knows {self.network.vocabulary_size} tokens, and the "
                f"vocabulary has {len(self.vocabulary)}",
                "use the version of this program and of miditok that wrote it",
            )

    def prompt(self, path: Path, seconds: float | None) -> list[int]:
        """The tokens of a MIDI file, or of its beginning.

        Raises:
            AudioFileError: If it cannot be read.
            OptionError: If it has no note on the 88 keys in that time.
        """
        tokens: list[int] = self.vocabulary.encode(read_piece(path)).tolist()
        if seconds is not None:
            tokens = list(self._beginning(tokens, seconds))
        if not self.vocabulary.is_note[tokens].any():
            raise OptionError(
                f"{path} has no notes on the 88 keys of a piano in the time that is used of it",
                "give another --prompt, or more --prompt_seconds",
            )
        return tokens

    def _beginning(self, tokens: Sequence[int], seconds: float) -> Iterator[int]:
        reader = NoteReader(self.vocabulary)
        for token in tokens:
            reader.read(token)
            if reader.tick > seconds * TICKS_PER_SECOND:
                return
            yield token

    def events(
        self,
        seconds: float,
        seed: int,
        temperature: float = TEMPERATURE,
        top_p: float = TOP_P,
        prompt: Sequence[int] = (),
    ) -> Iterator[Event]:
        """Notes and pedal moves of a piece: those of the prompt, then what follows for some seconds.

        Args:
            seconds: How long, after the last event of the prompt.
            seed: See `compose`.
            temperature: See `compose`.
            top_p: See `compose`.
            prompt: Tokens to go on from.
        """
        reader = NoteReader(self.vocabulary)
        for token in prompt:
            reader.read(token)
        yield from read_events(self.vocabulary, prompt)
        last = reader.tick + round(seconds * TICKS_PER_SECOND)
        drawn: Iterator[Event | None] = compose(
            self.network, reader, self.window_tokens, seed, temperature, top_p, prompt
        )
        kept: Iterator[Event] = events_until(drawn, reader, last)
        yield from kept


def write_events(events: Iterable[Event], sink: MidiSink, advance: Callable[[float], None]) -> None:
    """Write events as they come; `advance` is told the time that is reached, in seconds."""
    for event in events:
        event.write_to(sink)
        advance(event.tick / TICKS_PER_SECOND)


def picture(played: Played, seconds: float, title: str) -> bytes:
    """The piano roll of a piece as PNG."""
    from lightning_modules.reports.piano_roll import piano_roll_figure  # which takes a second to import

    content = io.BytesIO()
    held = played.pedals[0].presses(end=1e9)  # beyond the picture
    figure = piano_roll_figure(played.notes, seconds, held, title)
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


@contextmanager
def progress(title: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar of seconds of music on standard error; yields what sets the time that is reached."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.completed:.0f} of {task.total:.0f} s")
    columns = (TextColumn("{task.description}"), BarColumn(), text, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda seconds: bar.update(task, completed=seconds)
