"""The MIDI file beside a recording, read by another parser."""

from pathlib import Path

import pretty_midi
import pytest

from datamodules.mini.midi import write_midi
from datamodules.mini.performance import TEMPO_MICROSECONDS, TICKS_PER_BEAT, perform
from datamodules.mini.release import SCORES


def test_what_is_played_is_what_is_written(tmp_path: Path) -> None:
    played = perform(SCORES[0], 0)
    write_midi(played, tmp_path / "a.midi")
    (instrument,) = pretty_midi.PrettyMIDI(str(tmp_path / "a.midi")).instruments
    seconds = TEMPO_MICROSECONDS / 1e6 / TICKS_PER_BEAT
    expected = sorted(
        (note.onset_tick, note.pitch, note.velocity, note.release_tick) for note in played.notes
    )
    found = sorted(
        (round(n.start / seconds), n.pitch, n.velocity, round(n.end / seconds)) for n in instrument.notes
    )
    assert found == expected
    pedal = [(round(c.time / seconds), c.value) for c in instrument.control_changes if c.number == 64]
    assert pedal == [(move.tick, move.value) for move in sorted(played.pedal)]
    assert instrument.program == 0


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_midi(perform(SCORES[1], 1), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(OSError):
        write_midi(perform(SCORES[1], 1), tmp_path / "none" / "a")
