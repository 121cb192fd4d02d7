"""Windows of tokens: where they lie, what counts, how they vary."""

import numpy as np
import pytest
import torch

from datamodules.batch import BEGIN, END, PADDING
from datamodules.clips.datasets import ClipSelection
from datamodules.clips.windows import EvaluationWindows, TrainingWindows, Variation
from datamodules.errors import OptionError
from datamodules.release.tokens import NoteTokens

PITCHES = np.arange(3, 91, dtype=np.int16)  # one token for each of the 88 keys
NONE = Variation(0, 0, 0)


@pytest.fixture(scope="module")
def vocabulary() -> NoteTokens:
    return NoteTokens()


def selection(epoch: int, *numbers: int) -> ClipSelection:
    return ClipSelection(epoch, np.array(numbers, dtype=np.int64))


def training(vocabulary: NoteTokens, pieces, window: int = 8, variation: Variation = NONE) -> TrainingWindows:
    return TrainingWindows(pieces, vocabulary, window, 64, 4, 0, variation)


def test_a_window_begins_and_goes_on_as_the_piece_does(vocabulary: NoteTokens) -> None:
    windows = training(vocabulary, {5: PITCHES[:20]})
    batch = windows[selection(0, *range(64))]
    assert batch.tokens.shape == (64, 9) and set(batch.performance.tolist()) == {5}
    assert (batch.tokens[:, 0] == BEGIN).all()
    piece = [*PITCHES[:20].tolist(), END]
    starts = {window[1]: window for window in batch.tokens.tolist()}
    assert set(starts) == set(piece[:14])  # 21 tokens, windows of 8
    for first, window in starts.items():
        assert window[1:] == piece[piece.index(first) :][:8]
    assert torch.equal(batch.is_note, (batch.tokens >= 3) & (batch.tokens < 91))
    assert batch.counted().all()


def test_windows_depend_on_seed_epoch_and_number_alone(vocabulary: NoteTokens) -> None:
    windows = training(vocabulary, {0: PITCHES, 1: PITCHES[::-1]}, variation=Variation())
    one = windows[selection(3, 7, 8)].tokens
    assert torch.equal(one[1:], windows[selection(3, 8)].tokens)
    assert not torch.equal(one, windows[selection(4, 7, 8)].tokens)


def test_short_pieces_are_filled_up(vocabulary: NoteTokens) -> None:
    batch = training(vocabulary, {0: PITCHES[:3]})[0]
    assert batch.tokens[0].tolist() == [BEGIN, 3, 4, 5, END, *[PADDING] * 4]
    assert batch.counted()[0].tolist() == [True] * 4 + [False] * 4


def test_variation_reaches_its_limits_and_no_further(vocabulary: NoteTokens) -> None:
    drawn = Variation(3, 1, 2).draw(0, 0, np.arange(2000))
    assert [sorted(set(column)) for column in drawn.T.tolist()] == [
        [*range(-3, 4)],
        [*range(-1, 2)],
        [*range(-2, 3)],
    ]
    windows = training(vocabulary, {0: PITCHES[40:50]}, variation=Variation(3, 0, 0))
    first = windows[selection(0, *range(64))].tokens
    moved = {tuple(np.diff(row[1:9])) for row in first.tolist() if END not in row}
    assert moved == {(1,) * 7}  # a window is moved as a whole
    assert first[:, 1].min() >= 43 - 3 and first[:, 1].max() <= 46 + 3


@pytest.mark.parametrize("options", [{"semitones": 13}, {"velocity_steps": -1}, {"tempo_percent": 51}])
def test_variation_has_limits(options) -> None:
    with pytest.raises(OptionError, match=f"variation.{next(iter(options))} is"):
        Variation(**options)


@pytest.mark.parametrize("length", [1, 3, 4, 7, 8, 11, 12, 13, 50, 88])
@pytest.mark.parametrize("window", [2, 3, 8])
def test_every_token_counts_once_and_has_half_a_window_before_it(
    vocabulary: NoteTokens, length: int, window: int
) -> None:
    windows = EvaluationWindows({0: PITCHES[:length], 1: PITCHES[:5]}, vocabulary, window, batch_size=3)
    counted: dict[int, list[int]] = {0: [], 1: []}
    for number in range(len(windows)):
        batch = windows[number]
        for row, tokens, mask in zip(batch.performance.tolist(), batch.tokens, batch.counted(), strict=True):
            places = mask.nonzero()[:, 0].tolist()
            # a whole beginning, or enough before it
            assert places and (tokens[1] == 3 or places[0] >= window // 2)
            counted[row] += tokens[1:][mask].tolist()
    assert counted[0] == [*PITCHES[:length].tolist(), END]
    assert counted[1] == [*PITCHES[:5].tolist(), END]
