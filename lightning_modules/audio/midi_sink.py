"""A MIDI file written while its notes are made: memory holds the keys that are down."""

import heapq
import struct
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from datamodules.files import whole_file
from lightning_modules.audio.notes import BEATS_PER_SECOND, TICKS_PER_SECOND

_SUSTAIN = 64
_HEADER = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_SECOND // BEATS_PER_SECOND) + b"MTrk\0\0\0\0"
_LENGTH_AT = len(_HEADER) - 4
_PIANO, _END = b"\x00\xc0\x00", b"\x00\xff\x2f\x00"


class MidiSink:
    """Writes a standard MIDI file of type 0, on one channel, to the millisecond, as a context.

    Notes and pedal moves come in the order of their times. Where a key is struck again before its offset, it
    is released there. The file gets its name only when the context is left without an error; keys and pedal
    that are down then are released.

    Args:
        path: The file; its folder must exist.

    Attributes:
        num_notes: Notes written so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_notes = 0
        self._offsets: list[tuple[int, int]] = []  # tick and pitch, the earliest first
        self._down: dict[int, int] = {}  # pitch -> tick of its release
        self._written_to = 0
        self._pedal_is_down = False
        self._whole = ExitStack()
        self._file = self._whole.enter_context(
            self._whole.enter_context(whole_file(path)).open("wb", buffering=1 << 16)
        )
        self._file.write(_HEADER + _PIANO)

    def __enter__(self) -> "MidiSink":
        return self

    def note(self, onset: float, offset: float, pitch: int, velocity: int) -> None:
        """Strike a key; times in seconds."""
        begin = self._tick(onset)
        self._release_until(begin)
        if self._down.pop(pitch, None) is not None:
            self._write(begin, 0x90, pitch, 0)
        end = max(self._tick(offset), begin + 1)
        self._write(begin, 0x90, pitch, velocity)
        self._down[pitch] = end
        heapq.heappush(self._offsets, (end, pitch))
        self.num_notes += 1

    def pedal(self, time: float, is_down: bool) -> None:
        """Move the sustain pedal at a time in seconds."""
        tick = self._tick(time)
        self._release_until(tick)
        self._write(tick, 0xB0, _SUSTAIN, 127 if is_down else 0)
        self._pedal_is_down = is_down

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._whole.__exit__(kind, error, trace)

    def _finish(self) -> None:
        self._release_until(max(self._down.values(), default=0))
        if self._pedal_is_down:
            self._write(self._written_to, 0xB0, _SUSTAIN, 0)
        self._file.write(_END)
        length = self._file.tell() - len(_HEADER)
        self._file.seek(_LENGTH_AT)
        self._file.write(struct.pack(">I", length))

    def _release_until(self, tick: int) -> None:
        """Write the releases up to and at a tick."""
        while self._offsets and self._offsets[0][0] <= tick:
            end, pitch = heapq.heappop(self._offsets)
            if self._down.get(pitch) == end:  # else it was struck again
                del self._down[pitch]
                self._write(end, 0x90, pitch, 0)

    def _write(self, tick: int, status: int, first: int, second: int) -> None:
        self._file.write(variable_length(tick - self._written_to) + bytes((status, first, second)))
        self._written_to = tick

    def _tick(self, seconds: float) -> int:
        return max(round(seconds * TICKS_PER_SECOND), self._written_to)


def variable_length(value: int) -> bytes:
    """A number of MIDI files: seven bits a byte, the highest first, all but the last marked."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))
