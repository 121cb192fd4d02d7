"""The MIDI file beside a recording, laid out as MAESTRO's are."""

from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.mini.performance import TEMPO_MICROSECONDS, TICKS_PER_BEAT, Performance

if TYPE_CHECKING:
    import mido


def write_midi(performance: Performance, path: Path) -> None:
    """Write a performance: a tempo track, and a track of notes and sustain pedal in performed time.

    Args:
        performance: What is played.
        path: File to write.
    """
    import mido

    tempo = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=TEMPO_MICROSECONDS, time=0),
            mido.MetaMessage("time_signature", numerator=4, denominator=4, time=0),
            mido.MetaMessage("end_of_track", time=1),
        ]
    )
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks += [tempo, mido.MidiTrack(_messages(performance))]
    file.save(path)


def _messages(performance: Performance) -> "list[mido.Message | mido.MetaMessage]":
    """The note track with delta times; of events at one tick, releases first and blows last."""
    import mido

    events = [(move.tick, 1, 64, move.value) for move in performance.pedal]
    for note in performance.notes:
        events.append((note.onset_tick, 2, note.pitch, note.velocity))
        events.append((note.release_tick, 0, note.pitch, 0))
    messages = [mido.Message("program_change", program=0, time=0)]
    now = 0
    for tick, kind, number, value in sorted(events):
        if kind == 1:
            messages.append(mido.Message("control_change", control=number, value=value, time=tick - now))
        else:  # a blow with velocity 0 is a release
            messages.append(mido.Message("note_on", note=number, velocity=value, time=tick - now))
        now = tick
    return [*messages, mido.MetaMessage("end_of_track", time=1)]
