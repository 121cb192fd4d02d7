from fractions import Fraction
from itertools import pairwise

import pytest

from datamodules.mini.performance import (
    LEAD_IN_SECONDS,
    PEDAL_THRESHOLD,
    TICKS_PER_SECOND,
    PedalMove,
    Performance,
    PlayedNote,
    perform,
    sounding,
)
from datamodules.mini.release import SCORES
from datamodules.mini.score import Score


def score(**changes: object) -> Score:
    base = Score(
        composer="A",
        title="B",
        split="train",
        year=2004,
        sample_rate=44_100,
        meter=Fraction(1),
        quarters_per_minute=120.0,
        voices=("c5/4 d5 e5 f5 | g5/1",),
        dynamics=((0, "mf"),),
        rubato=0.0,
    )
    return base._replace(**changes)


def onsets(performance: Performance) -> list[float]:
    return [note.onset_tick / TICKS_PER_SECOND for note in performance.notes]


def test_without_rubato_the_beat_is_even_within_the_small_deviations() -> None:
    expected = [LEAD_IN_SECONDS + 0.5 * beat for beat in range(5)]
    assert onsets(perform(score(), seed=1)) == pytest.approx(expected, abs=0.018)


def test_rubato_slows_the_ends_of_a_phrase_and_keeps_the_average_tempo() -> None:
    bars = " | ".join(["c5/4 d5 e5 f5"] * 24)
    times = onsets(perform(score(voices=(bars,), rubato=0.1), seed=1))
    beats = [later - earlier for earlier, later in pairwise(times)]
    edge, middle = beats[16], beats[24]  # a phrase is four bars
    assert edge > 1.08 * middle
    assert times[80] - times[0] == pytest.approx(40.0, rel=0.01)


def test_the_same_seed_plays_the_same_and_another_does_not() -> None:
    assert perform(score(), seed=3) == perform(score(), seed=3)
    assert perform(score(), seed=3) != perform(score(), seed=4)


def test_dynamics_and_voicing() -> None:
    crescendo = perform(score(voices=("c5/4 c5 c5 c5 | c5/1",), dynamics=((0, "pp"), (1, "ff"))), seed=0)
    velocities = [note.velocity for note in crescendo.notes]
    assert velocities[0] < 45 and velocities[-1] > 85
    assert velocities == sorted(velocities)
    two = perform(score(voices=("g5/1", "c3/1"), accompaniment=0.6), seed=0)
    low, high = sorted(two.notes, key=lambda note: note.pitch)
    assert low.velocity == pytest.approx(0.6 * high.velocity, abs=6)


def test_staccato_is_short_and_an_accent_loud() -> None:
    short, long, loud = perform(score(voices=("c5/4' c5/4 >c5/2",)), seed=0).notes
    length = [note.release_tick - note.onset_tick for note in (short, long)]
    assert length[0] == pytest.approx(0.42 * 0.5 * TICKS_PER_SECOND, abs=3)
    assert length[1] > 0.9 * 0.5 * TICKS_PER_SECOND - 30
    assert loud.velocity > long.velocity + 4


def test_two_voices_on_one_key_become_one_blow() -> None:
    performance = perform(score(voices=("c5/1", "c5/2 e4/2")), seed=0)
    (middle_c,) = [note for note in performance.notes if note.pitch == 72]
    assert middle_c.release_tick - middle_c.onset_tick > 0.9 * 2 * TICKS_PER_SECOND


@pytest.mark.parametrize("piece", SCORES, ids=lambda piece: piece.title)
def test_every_piece_can_be_played_on_one_keyboard(piece: Score) -> None:
    performance = perform(piece, seed=5)
    last: dict[int, PlayedNote] = {}
    for note in performance.notes:
        assert 21 <= note.pitch <= 108 and 1 <= note.velocity <= 127
        assert note.onset_tick < note.release_tick
        if note.pitch in last:
            assert last[note.pitch].release_tick < note.onset_tick
        last[note.pitch] = note
    assert performance.pedal == sorted(performance.pedal)
    assert not performance.pedal or performance.pedal[-1].value < PEDAL_THRESHOLD


def test_the_pedal_follows_the_harmony() -> None:
    performance = perform(score(pedal=Fraction(1)), seed=0)
    pressed = [move.tick for move in performance.pedal if move.value == 72]
    lifted = [move.tick for move in performance.pedal if move.value == 0]
    second_bar = performance.notes[4].onset_tick
    assert lifted[0] - second_bar < 0.06 * TICKS_PER_SECOND
    assert second_bar < lifted[0] < pressed[1]


def test_the_pedal_holds_what_the_hand_has_left() -> None:
    notes = [PlayedNote(0, 100, 60, 80), PlayedNote(50, 500, 64, 80), PlayedNote(700, 800, 67, 80)]
    pedal = [PedalMove(20, 72), PedalMove(30, 118), PedalMove(300, 48), PedalMove(310, 0)]
    held = {note.pitch: note.held_seconds * TICKS_PER_SECOND for note in sounding(Performance(notes, pedal))}
    assert held[60] == pytest.approx(300)  # released under the pedal: damped when the pedal falls below 64
    assert held[64] == pytest.approx(450)  # still held when the pedal goes: damped at its own release
    assert held[67] == pytest.approx(100)  # no pedal


def test_a_second_blow_ends_the_first() -> None:
    notes = [PlayedNote(0, 100, 60, 80), PlayedNote(400, 500, 60, 80)]
    first, second = sounding(Performance(notes, [PedalMove(20, 127), PedalMove(900, 0)]))
    assert first.held_seconds * TICKS_PER_SECOND == pytest.approx(400)
    assert second.held_seconds * TICKS_PER_SECOND == pytest.approx(500)
