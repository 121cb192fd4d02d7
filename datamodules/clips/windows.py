"""Windows of tokens: random and varied for training, for evaluation every token once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.batch import BEGIN, END, PADDING, TokenBatch
from datamodules.clips.datasets import ClipSelection, IntArray, WholeBatches, uniform
from datamodules.errors import OptionError
from datamodules.release.tokens import NoteTokens

Pieces = Mapping[int, NDArray[np.int16]]
"""Tokens by row of the performance."""


@dataclass(frozen=True)
class Variation:
    """How far training windows are played otherwise; each is drawn evenly from all whole steps.

    Attributes:
        semitones: Most semitones up or down.
        velocity_steps: Most steps of the 32 velocities up or down.
        tempo_percent: Most percent slower or faster.

    Raises:
        OptionError: If one is out of range.
    """

    semitones: int = 5
    velocity_steps: int = 2
    tempo_percent: int = 8

    def __post_init__(self) -> None:
        limits = {"semitones": 12, "velocity_steps": 16, "tempo_percent": 50}
        for name, most in limits.items():
            if not 0 <= (value := getattr(self, name)) <= most:
                raise OptionError(f"variation.{name} is {value}", f"give 0 to {most}")

    def draw(self, seed: int, epoch: int, number: IntArray) -> IntArray:
        """(B, 3) int64 semitones, velocity steps and percents, a pure function of the arguments."""
        most = (self.semitones, self.velocity_steps, self.tempo_percent)
        columns = [
            np.floor(uniform(seed, epoch, number, stream) * (2 * each + 1)).astype(np.int64) - each
            for stream, each in enumerate(most, start=3)
        ]
        return np.stack(columns, axis=1)


class TokenWindows(WholeBatches[TokenBatch]):
    """Batches of windows.

    A window is `BEGIN` and S tokens that follow each other in a piece, whose last token is `END`. So whatever
    begins after `BEGIN` is music from anywhere, as it is where composing starts and where its memory is cut.

    Args:
        pieces: Tokens of the performances.
        vocabulary: Of the tokens.
        window_tokens: S.
        num_clips: Windows in an epoch.
        batch_size: Windows in a batch, for access by batch number.
    """

    def __init__(
        self, pieces: Pieces, vocabulary: NoteTokens, window_tokens: int, num_clips: int, batch_size: int
    ) -> None:
        super().__init__(num_clips, batch_size)
        self.pieces = {row: np.append(tokens, np.int16(END)) for row, tokens in pieces.items()}
        self.vocabulary = vocabulary
        self.window_tokens = window_tokens

    def _batch(self, rows: IntArray, starts: IntArray, first: IntArray) -> TokenBatch:
        tokens = np.full((len(rows), self.window_tokens + 1), PADDING, dtype=np.int64)
        tokens[:, 0] = BEGIN
        for index, (row, start) in enumerate(zip(rows.tolist(), starts.tolist(), strict=True)):
            window = self.pieces[row][start : start + self.window_tokens]
            tokens[index, 1 : len(window) + 1] = window
        columns = (tokens, first, rows, self.vocabulary.is_note[tokens])
        return TokenBatch(*map(torch.from_numpy, columns))


class TrainingWindows(TokenWindows):
    """Windows at random positions, every valid position of every piece equally likely, and varied.

    Args:
        pieces: Tokens of the performances.
        vocabulary: Of the tokens.
        window_tokens: S.
        num_clips: Windows in an epoch.
        batch_size: Windows in a batch, for access by batch number.
        seed: With the epoch and the window's number, decides everything about it.
        variation: Random changes.
    """

    def __init__(
        self,
        pieces: Pieces,
        vocabulary: NoteTokens,
        window_tokens: int,
        num_clips: int,
        batch_size: int,
        seed: int,
        variation: Variation,
    ) -> None:
        super().__init__(pieces, vocabulary, window_tokens, num_clips, batch_size)
        self.seed = seed
        self.variation = variation
        self._rows = np.array(list(self.pieces), dtype=np.int64)
        counts = [max(1, len(self.pieces[row]) - window_tokens + 1) for row in self.pieces]
        self._end = np.cumsum(np.array(counts, dtype=np.int64))
        self._begin = self._end - counts

    def read(self, selection: ClipSelection) -> TokenBatch:
        """The selected windows."""
        epoch, number = selection
        position = (uniform(self.seed, epoch, number, stream=0) * self._end[-1]).astype(np.int64)
        choice = np.searchsorted(self._end, position, side="right")
        batch = self._batch(self._rows[choice], position - self._begin[choice], np.zeros_like(number))
        changes = self.variation.draw(self.seed, epoch, number)
        for tokens, (semitones, steps, percent) in zip(batch.tokens, changes.tolist(), strict=True):
            table = self.vocabulary.changed(semitones, steps, 1.0 + percent / 100)
            tokens.copy_(torch.from_numpy(table)[tokens])
        return batch


class EvaluationWindows(TokenWindows):
    """Every piece in windows that overlap by half; each token counts once, after at least half a window.

    Only the first half window of a piece has less before it.

    Args:
        pieces: Tokens of the performances.
        vocabulary: Of the tokens.
        window_tokens: S.
        batch_size: Windows in a batch, for access by batch number.
    """

    def __init__(self, pieces: Pieces, vocabulary: NoteTokens, window_tokens: int, batch_size: int) -> None:
        stride = max(1, window_tokens // 2)
        plan = [
            (row, start, 0 if start == 0 else window_tokens - stride)
            for row, tokens in pieces.items()
            for start in range(0, max(1, len(tokens) + 1 - (window_tokens - stride)), stride)
        ]
        super().__init__(pieces, vocabulary, window_tokens, len(plan), batch_size)
        self._plan = np.array(plan, dtype=np.int64)  # (windows, 3): row, start, first target that counts

    def read(self, selection: ClipSelection) -> TokenBatch:
        """The selected windows."""
        rows, starts, first = self._plan[selection.number].T.copy()
        return self._batch(rows, starts, first)
