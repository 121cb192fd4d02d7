"""Notes to tokens and back, what may follow what, and tokens played otherwise."""

import subprocess
import sys

import numpy as np
import pytest

from datamodules.batch import Notes
from datamodules.mini.midi import write_midi
from datamodules.mini.performance import PedalMove, Performance, PlayedNote, perform
from datamodules.mini.release import SCORES
from datamodules.release.notes import PedalCurve, Played, read_played
from datamodules.release.tokens import (
    MOST_AT_ONCE,
    NoteEvent,
    NoteReader,
    NoteTokens,
    PedalEvent,
    read_events,
)


@pytest.fixture(scope="module")
def vocabulary() -> NoteTokens:
    return NoteTokens()


def played(rows: list[tuple[float, float, int, int]], pedal: list[tuple[float, int]] = ()) -> Played:
    """Onset, offset, pitch and velocity of notes; times and values of the pedal."""
    onset, offset, pitch, velocity = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    notes = Notes(pitch.astype(np.int64), onset, offset, velocity.astype(np.int64), offset)
    time, value = np.array(pedal, dtype=np.float64).reshape(-1, 2).T
    none = PedalCurve(np.zeros(0), np.zeros(0, dtype=np.int64))
    curves = (PedalCurve(time, value.astype(np.int64)), none, none)
    return Played(notes, curves, np.zeros((len(rows), 3), dtype=np.int64), (0,))


def test_tokens_by_hand(vocabulary: NoteTokens) -> None:
    tokens = vocabulary.encode(played([(0.5, 0.75, 60, 64), (0.5, 1.5, 64, 64)], [(0.6, 90), (0.9, 10)]))
    assert [vocabulary.names[token] for token in tokens] == [
        "TimeShift_1.0.10",  # half a second
        "Pitch_60",
        "Velocity_63",
        "Duration_0.25.50",
        "Pitch_64",
        "Velocity_63",
        "Duration_2.0.10",
        "TimeShift_0.10.50",
        "Pedal_0",
        "TimeShift_0.30.50",
        "PedalOff_0",
    ]
    assert read_events(vocabulary, tokens.tolist()) == [
        NoteEvent(50, 25, 60, 63),
        NoteEvent(50, 100, 64, 63),
        PedalEvent(60, True),
        PedalEvent(90, False),
    ]


def test_a_piece_comes_back(vocabulary: NoteTokens, tmp_path) -> None:
    """Every note, its onset within 20 ms; long keys and velocities to their steps; every token allowed."""
    write_midi(perform(SCORES[5], 1), tmp_path / "a.mid")
    piece = read_played((tmp_path / "a.mid").read_bytes())
    tokens = vocabulary.encode(piece).tolist()
    reader = NoteReader(vocabulary)
    events = []
    for token in tokens:
        assert reader.allowed()[token]
        events.append(reader.read(token))
    notes = [event for event in events if isinstance(event, NoteEvent)]
    assert len(notes) == len(piece.notes.pitch)
    for pitch in np.unique(piece.notes.pitch):
        own = piece.notes.pitch == pitch
        found = np.array([(e.tick, e.duration, e.velocity) for e in notes if e.pitch == pitch])
        assert np.abs(found[:, 0] / 100 - piece.notes.onset[own]).max() < 0.02
        held = (piece.notes.offset - piece.notes.onset)[own]
        assert (np.abs(found[:, 1] / 100 - held) < 0.0101 + 0.05 * held).all()
        assert np.abs(found[:, 2] - piece.notes.velocity[own]).max() <= 4
    moves = [event.is_down for event in events if isinstance(event, PedalEvent)]
    assert moves[::2] == [True] * len(moves[::2]) and moves[1::2] == [False] * len(moves[1::2])


def test_notes_off_the_keyboard_and_a_long_wait(vocabulary: NoteTokens) -> None:
    tokens = vocabulary.encode(played([(0.0, 0.1, 20, 64), (30.0, 45.0, 60, 64), (31.0, 31.1, 109, 64)]))
    (note,) = read_events(vocabulary, tokens.tolist())
    assert note == NoteEvent(3000, 600, 60, 63)  # six seconds are the longest time of one token


def test_a_pedal_that_stays_down_comes_up_at_the_end(vocabulary: NoteTokens) -> None:
    events = read_events(vocabulary, vocabulary.encode(played([(0.0, 1.0, 60, 64)], [(0.5, 127)])).tolist())
    assert events[1:] == [PedalEvent(50, True), PedalEvent(100, False)]


def test_what_may_follow(vocabulary: NoteTokens) -> None:
    names = np.array(vocabulary.names)

    def kinds(reader: NoteReader) -> set[str]:
        return {name.partition("_")[0] for name in names[reader.allowed()]}

    def token(name: str) -> int:
        return vocabulary.names.index(name)

    reader = NoteReader(vocabulary)
    assert kinds(reader) == {"Pitch", "TimeShift", "Pedal"}
    reader.read(token("Pitch_60"))
    assert kinds(reader) == {"Velocity"}
    reader.read(token("Velocity_63"))
    assert kinds(reader) == {"Duration"}
    assert reader.read(token("Duration_1.0.10")) == NoteEvent(0, 50, 60, 63)
    assert not reader.allowed()[token("Pitch_60")] and reader.allowed()[token("Pitch_61")]
    reader.read(token("Pedal_0"))
    assert kinds(reader) == {"Pitch", "TimeShift", "PedalOff"}
    reader.read(token("TimeShift_1.0.10"))
    assert reader.allowed()[token("Pitch_60")] and reader.tick == 50
    for _ in range(MOST_AT_ONCE):
        reader.read(token("PedalOff_0"))
    assert kinds(reader) == {"TimeShift"}
    reader.read(token("TimeShift_1.0.10"))
    assert reader.read(token("Duration_1.0.10")) is None  # of no note


def test_a_mask_belongs_to_whoever_asked(vocabulary: NoteTokens) -> None:
    reader = NoteReader(vocabulary)
    reader.read(vocabulary.names.index("Pitch_60"))
    reader.read(vocabulary.names.index("Velocity_63"))
    reader.read(vocabulary.names.index("Duration_1.0.10"))
    reader.allowed()
    assert NoteReader(vocabulary).allowed()[vocabulary.names.index("Pitch_60")]


@pytest.mark.parametrize(
    ("change", "name", "becomes"),
    [
        ((3, 0, 1.0), "Pitch_60", "Pitch_63"),
        ((-5, 0, 1.0), "Pitch_21", "Pitch_28"),  # an octave further in
        ((12, 0, 1.0), "Pitch_108", "Pitch_108"),
        ((0, 2, 1.0), "Velocity_63", "Velocity_71"),
        ((0, 2, 1.0), "Velocity_127", "Velocity_127"),
        ((0, 0, 2.0), "Duration_0.40.50", "Duration_0.20.50"),
        ((0, 0, 2.0), "TimeShift_1.0.10", "TimeShift_0.25.50"),
        ((0, 0, 0.8), "TimeShift_0.1.50", "TimeShift_0.1.50"),  # never none
        ((4, 2, 1.3), "Pedal_0", "Pedal_0"),
    ],
)
def test_tokens_played_otherwise(vocabulary: NoteTokens, change, name: str, becomes: str) -> None:
    token = vocabulary.changed(*change)[vocabulary.names.index(name)]
    assert vocabulary.names[token] == becomes


def test_no_change_changes_nothing(vocabulary: NoteTokens) -> None:
    assert (vocabulary.changed(0, 0, 1.0) == np.arange(len(vocabulary))).all()


def test_every_key_stays_on_the_keyboard(vocabulary: NoteTokens) -> None:
    pitch = vocabulary.of_kind("Pitch")
    for semitones in range(-12, 13):
        moved = vocabulary.value[vocabulary.changed(semitones, 0, 1.0)[pitch]] - vocabulary.value[pitch]
        assert set((moved - semitones) % 12) == {0}


def test_events_are_what_the_library_decodes(vocabulary: NoteTokens) -> None:
    piece = Performance([PlayedNote(480, 900, 60, 64), PlayedNote(700, 2000, 67, 90)], [PedalMove(500, 127)])
    notes = [(n.onset_tick / 960, n.release_tick / 960, n.pitch, n.velocity) for n in piece.notes]
    tokens = vocabulary.encode(played(notes)).tolist()
    decoded = vocabulary._tokenizer.decode([tokens])
    scale = 100 / (2 * decoded.tpq)
    expected = [(n.time * scale, n.duration * scale, n.pitch, n.velocity) for n in decoded.tracks[0].notes]
    np.testing.assert_allclose(read_events(vocabulary, tokens), expected)


def test_the_library_is_imported_when_needed() -> None:
    code = "import sys, datamodules.release.tokens; assert not {'miditok', 'symusic'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_events_play_themselves_and_end_in_time() -> None:
    class Heard(list):
        def note(self, *values: float) -> None:
            self.append(values)

        pedal = note

    heard = Heard()
    for event in (NoteEvent(50, 100, 60, 64), PedalEvent(75, True), NoteEvent(90, 5, 62, 70)):
        event.until(100).write_to(heard)
    assert heard == [(0.5, 1.0, 60, 64), (0.75, True), (0.9, 0.95, 62, 70)]
