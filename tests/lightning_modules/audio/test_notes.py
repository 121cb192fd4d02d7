"""MIDI files of heard notes, read back by another program."""

import io

import numpy as np
import pretty_midi

from lightning_modules.audio.notes import HeardNotes, midi_file


def read_back(notes: HeardNotes) -> list[tuple[float, int, float, int]]:
    file = pretty_midi.PrettyMIDI(io.BytesIO(midi_file(notes)))
    found = [note for instrument in file.instruments for note in instrument.notes]
    return sorted((round(note.start, 4), note.pitch, round(note.end, 4), note.velocity) for note in found)


def test_notes_come_back_to_the_millisecond():
    rows = [(0.1234, 60, 1.5, 1), (0.1234, 64, 0.2, 127), (3723.5, 108, 3724.0, 64), (0.5, 21, 9.0, 80)]
    expected = sorted((round(on, 3), pitch, round(off, 3), velocity) for on, pitch, off, velocity in rows)
    assert read_back(HeardNotes.from_rows(rows)) == expected


def test_a_key_struck_again_ends_its_earlier_sound():
    rows = [(0.0, 60, 5.0, 50), (1.0, 60, 2.0, 60), (2.0, 60, 3.0, 70)]
    assert read_back(HeardNotes.from_rows(rows)) == [
        (0.0, 60, 1.0, 50),
        (1.0, 60, 2.0, 60),
        (2.0, 60, 3.0, 70),
    ]


def test_no_notes_are_a_midi_file_too():
    assert read_back(HeardNotes.from_rows([])) == []
    assert all(len(column) == 0 for column in HeardNotes.from_rows([]))


def test_rows_are_sorted_by_onset_and_pitch():
    notes = HeardNotes.from_rows([(1.0, 70, 2.0, 5), (1.0, 60, 3.0, 6), (0.0, 80, 1.0, 7)])
    np.testing.assert_array_equal(notes.pitch, [80, 60, 70])
    np.testing.assert_array_equal(notes.velocity, [7, 6, 5])
