"""MIDI written as it is made: what another program reads in it."""

import io

import mido
import numpy as np
import pretty_midi
import pytest

from lightning_modules.audio.midi_sink import MidiSink, variable_length


def test_another_program_reads_the_notes_and_the_pedal(tmp_path):
    with MidiSink(tmp_path / "a.mid") as sink:
        sink.note(0.5, 2.0, 60, 90)
        sink.note(0.5, 0.75, 64, 30)
        sink.pedal(0.6, True)
        sink.note(1.0, 1.0, 67, 127)
        sink.pedal(3.0, False)
    assert sink.num_notes == 3
    (piano,) = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
    found = sorted((n.start, n.end, n.pitch, n.velocity) for n in piano.notes)
    np.testing.assert_allclose(
        found, [(0.5, 0.75, 64, 30), (0.5, 2.0, 60, 90), (1.0, 1.001, 67, 127)], atol=1e-9
    )
    moves = [(c.time, c.number, c.value) for c in piano.control_changes]
    np.testing.assert_allclose(moves, [(0.6, 64, 127), (3.0, 64, 0)], atol=1e-9)


def test_a_key_struck_again_is_released_first(tmp_path):
    with MidiSink(tmp_path / "a.mid") as sink:
        sink.note(0.0, 5.0, 60, 90)
        sink.note(1.0, 2.0, 60, 80)
        sink.note(3.0, 4.0, 60, 70)
    (piano,) = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
    assert [(n.start, n.end) for n in piano.notes] == [(0.0, 1.0), (1.0, 2.0), (3.0, 4.0)]


def test_what_is_down_at_the_end_is_released(tmp_path):
    with MidiSink(tmp_path / "a.mid") as sink:
        sink.pedal(0.0, True)
        sink.note(1.0, 7.0, 60, 90)
    messages = [each for each in mido.MidiFile(tmp_path / "a.mid") if each.type != "program_change"]
    assert [(m.type, m.time) for m in messages] == [
        ("control_change", 0),
        ("note_on", 1.0),
        ("note_on", 6.0),
        ("control_change", 0),
        ("end_of_track", 0),
    ]
    assert messages[2].velocity == messages[3].value == 0


def test_memory_holds_what_is_down_and_no_more(tmp_path):
    with MidiSink(tmp_path / "a.mid") as sink:
        for number in range(5000):
            sink.note(0.1 * number, 0.1 * number + 0.35, 40 + number % 30, 64)
            assert len(sink._offsets) <= 5 and len(sink._down) <= 5
    assert sum(m.type == "note_on" and m.velocity > 0 for m in mido.MidiFile(tmp_path / "a.mid")) == 5000


def test_nothing_has_the_name_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), MidiSink(tmp_path / "a.mid") as sink:
        sink.note(0.0, 1.0, 60, 64)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [0, 127, 128, 16_383, 16_384, 268_435_455])
def test_numbers_are_those_of_the_format(value: int):
    from mido.midifiles.midifiles import read_variable_int

    assert read_variable_int(io.BytesIO(variable_length(value))) == value
