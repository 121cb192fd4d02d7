"""Sound files of any kind, read and written as streams: memory use does not depend on their length."""

import hashlib
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from datamodules.files import HIGHEST_RATE, INFINITE, LOWEST_RATE, WithinFile, whole_file
from lightning_modules.errors import AudioFileError

_CHUNK_FRAMES = 1 << 16
_PROMISE = re.compile(r"(?:data|SSND) : (\d+) \(should be (\d+)\)")
"""What libsndfile notes of a WAV or AIFF file that is shorter than its header says, in bytes."""
_UNKNOWN_LENGTH = 0x7FFFFFFF - 4096
"""Lengths from here on stand for "unknown" in files that were written to a pipe."""
_OGG_PAGE_BYTES = 65_307
_KEPT_LETTERS = 150
"""At the beginning and at the end of a name that is too long to read."""
_LONG_NAME = re.compile(rf"(?<!\w)'[^'\n]{{{3 * _KEPT_LETTERS},}}'(?!\w)|\S{{{3 * _KEPT_LETTERS},}}")
_OTHER_FILE = "give a file that plays, or convert it to WAV"


class AudioSource:
    """A sound file that libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF …), as a context.

    Args:
        path: The file.

    Attributes:
        sample_rate: Of the file, in Hz.
        channels: Of the file.
        num_samples: How many have been read so far, per channel, at the file's rate.

    Raises:
        AudioFileError: If it is missing, empty or no sound file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            problem = "no file, but a folder or device" if path.exists() else "no such file"
            raise AudioFileError(f"{shown(path)}: {problem}", "give the path of a sound file")
        if path.stat().st_size == 0:
            raise AudioFileError(f"{shown(path)}: the file is empty (0 bytes)", _OTHER_FILE)
        try:
            # a Python file, for names that are not valid text
            self._raw = path.open("rb")
        except OSError as error:
            raise AudioFileError(
                f"{shown(path)}: cannot be read ({error.strerror})", "check its permissions"
            ) from error
        try:
            self._file = soundfile.SoundFile(WithinFile(self._raw))
        except soundfile.LibsndfileError as error:
            self._raw.close()
            raise AudioFileError(
                f"{shown(path)}: not readable as audio ({error.error_string})", _OTHER_FILE
            ) from error
        self.sample_rate: int = self._file.samplerate
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            self._raw.close()
            raise AudioFileError(f"{shown(path)}: a sample rate of {self.sample_rate:,} Hz", _OTHER_FILE)
        self.channels: int = self._file.channels
        self.num_samples = 0

    def __enter__(self) -> "AudioSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._raw.close()

    def chunks(self, sample_rate: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield the audio from the beginning, at `sample_rate` in Hz (the file's own if None), (C, T) each.

        Raises:
            AudioFileError: Where decoding fails, a sample is NaN or infinite, or there is none at all.
        """
        found = False
        for chunk in resampled(self._frames(), self.sample_rate, sample_rate or self.sample_rate):
            found = True
            yield chunk
        if not found:
            raise AudioFileError(
                f"{shown(self.path)}: holds no audio, or less than one sample at {sample_rate} Hz",
                _OTHER_FILE,
            )

    def _frames(self) -> Iterator[NDArray[np.float32]]:
        while len(frames := self._read()):
            bad = np.flatnonzero(~(np.abs(frames) < INFINITE).all(1))
            if len(bad):
                place = (self.num_samples + int(bad[0])) / self.sample_rate
                raise AudioFileError(
                    f"{shown(self.path)}: a sample is NaN or infinite at {place:.2f} s",
                    "mend or cut the recording",
                )
            self.num_samples += len(frames)
            yield np.ascontiguousarray(frames.T)

        if self._is_cut_off():
            print(f"warning: {shown(self.path)} is cut off after {self._seconds():.2f} s", flush=True)

    def _is_cut_off(self) -> bool:
        """Whether the file promises more than was read; a length that a pipe left open promises nothing."""
        if self._file.format == "OGG":
            return not _ends_as_ogg(self._raw)
        if self.num_samples < self._file.frames:
            return True
        told = _PROMISE.search(self._file.extra_info)
        return told is not None and int(told[2]) < int(told[1]) < _UNKNOWN_LENGTH

    def _read(self) -> NDArray[np.float32]:
        try:
            return self._file.read(_CHUNK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{shown(self.path)}: decoding failed after {self._seconds():.1f} s ({error.error_string})",
                _OTHER_FILE,
            ) from error

    def _seconds(self) -> float:
        return self.num_samples / self.sample_rate


def _ends_as_ogg(file: BinaryIO) -> bool:
    """Whether the last page of an Ogg file says that it is the last."""
    position = file.tell()
    file.seek(0, os.SEEK_END)
    file.seek(-min(file.tell(), _OGG_PAGE_BYTES), os.SEEK_END)
    end = file.read()
    file.seek(position)
    last = end.rfind(b"OggS")
    return 0 <= last < len(end) - 5 and bool(end[last + 5] & 4)


def resampled(
    chunks: Iterator[NDArray[np.float32]], source_rate: int, target_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a stream of (C, T) chunks with soxr's 20-bit recipe; none that come out are empty."""
    if source_rate == target_rate:
        yield from chunks
    else:
        yield from (chunk for chunk in _resampled(chunks, source_rate, target_rate) if chunk.shape[1])


def _resampled(
    chunks: Iterator[NDArray[np.float32]], source_rate: int, target_rate: int
) -> Iterator[NDArray[np.float32]]:
    stream: soxr.ResampleStream | None = None
    channels = 1
    for chunk in chunks:
        channels = len(chunk)
        stream = stream or soxr.ResampleStream(source_rate, target_rate, channels, "float32", "HQ")
        yield stream.resample_chunk(np.ascontiguousarray(chunk.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.empty((0, channels), dtype=np.float32), last=True).T


def with_length(
    chunks: Iterator[NDArray[np.float32]], num_samples: Callable[[], int]
) -> Iterator[NDArray[np.float32]]:
    """Cut the last chunk (C, T) of a stream, or append silence to it, for a length that is known by then."""
    held: NDArray[np.float32] | None = None
    position = 0
    for chunk in chunks:
        if held is not None:
            yield held
            position += held.shape[1]
        held = chunk
    if held is not None:
        missing = num_samples() - position
        yield np.pad(held[:, : max(missing, 0)], ((0, 0), (0, max(missing - held.shape[1], 0))))


class WrittenAudio(NamedTuple):
    """Facts about a finished file, named as in the manifest.

    Attributes:
        file: Name, without folder.
        sample_rate: In Hz.
        channels: C.
        num_samples: T.
        seconds: T / sample_rate.
        peak: Largest absolute value, 1 = full scale.
        rms: Root mean square over all channels.
        sha256: Of the file's bytes.
    """

    file: str
    sample_rate: int
    channels: int
    num_samples: int
    seconds: float
    peak: float
    rms: float
    sha256: str


LOUDEST = 0.99
"""Peak of a file that was turned down; full scale is 1."""
COPIED_SAMPLES = 2**18
"""That are read at once, per channel, of a sound that waits."""


class AudioSink:
    """Writes a 16-bit WAV file, or FLAC if its name ends so, as a context.

    The file gets its name only when the context is left without an error.

    Args:
        path: The file, which must not exist; its folder must.
        sample_rate: In Hz.
        channels: C.

    Attributes:
        num_samples: Samples written so far, per channel.

    Raises:
        AudioFileError: If it cannot be written.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.channels = channels
        self.num_samples = 0
        self._peak = self._energy = 0.0
        self._whole = ExitStack()
        with self._translated_errors():
            part = os.fsencode(self._whole.enter_context(whole_file(path)))
            try:
                kind = "FLAC" if path.suffix.lower() == ".flac" else "WAV"
                self._file = soundfile.SoundFile(part, "w", sample_rate, channels, "PCM_16", format=kind)
            except BaseException:
                self._whole.__exit__(*sys.exc_info())
                raise

    def __enter__(self) -> Self:
        return self

    def write(self, waveform: NDArray[np.float32]) -> None:
        """Append (C, T); values beyond full scale are limited to it.

        Raises:
            AudioFileError: If a value is NaN or infinite.
        """
        bad = np.flatnonzero(~np.isfinite(waveform).all(0))
        if len(bad):
            place = (self.num_samples + int(bad[0])) / self.sample_rate
            raise AudioFileError(
                f"{shown(self.path)}: the model's output is NaN or infinite at {place:.2f} s",
                "use an earlier checkpoint of the run: this one's weights are spoilt",
            )
        self._append(waveform)
        self.num_samples += waveform.shape[1]

    def _append(self, waveform: NDArray[np.float32]) -> None:
        bounded = np.clip(waveform, -1.0, 1.0)
        with self._translated_errors():
            self._file.write(bounded.T)
        if bounded.size:
            self._peak = max(self._peak, float(np.abs(bounded).max()))
            self._energy += float(np.square(bounded, dtype=np.float64).sum())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            self._whole.__exit__(kind, error, trace)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, soundfile.LibsndfileError) as error:
            raise AudioFileError(
                f"{shown(self.path)}: cannot be written ({error})",
                "free some space, or give another --output",
            ) from error

    @property
    def facts(self) -> dict[str, float]:
        """What a manifest says of the finished file beside `written`."""
        return {}

    def written(self) -> WrittenAudio:
        """Describe the finished file."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        rate, channels, values = self.sample_rate, self.channels, self.num_samples
        rms = (self._energy / max(values * channels, 1)) ** 0.5
        return WrittenAudio(self.path.name, rate, channels, values, values / rate, self._peak, rms, digest)


class UnclippedAudioSink(AudioSink):
    """An `AudioSink` that turns the whole file down if a value is beyond full scale, rather than limit it.

    Until the context is left the sound waits as float32 in a file without a name beside it.

    Attributes:
        turned_down_db: By how much; 0 unless it would clip.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self.path = path
        with self._translated_errors():
            self._waiting = tempfile.TemporaryFile(dir=path.parent)
        self._loudest = self.turned_down_db = 0.0
        super().__init__(path, sample_rate, channels)

    @property
    def facts(self) -> dict[str, float]:
        """By how much the sound was turned down, in dB."""
        return {"turned_down_db": self.turned_down_db}

    def _append(self, waveform: NDArray[np.float32]) -> None:
        with self._translated_errors():
            self._waiting.write(np.ascontiguousarray(waveform.T, dtype=np.float32).tobytes())
        self._loudest = max(self._loudest, float(np.abs(waveform).max(initial=0.0)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._waiting:
                if kind is None:
                    self._write_waiting()
        except BaseException:
            super().__exit__(*sys.exc_info())
            raise
        super().__exit__(kind, error, trace)

    def _write_waiting(self) -> None:
        gain = LOUDEST / self._loudest if self._loudest > 1.0 else 1.0
        self.turned_down_db = 20.0 * math.log10(1.0 / gain)
        with self._translated_errors():
            self._waiting.seek(0)
            while block := self._waiting.read(self.channels * 4 * COPIED_SAMPLES):
                waveform = np.frombuffer(block, np.float32).reshape(-1, self.channels).T
                super()._append(waveform * np.float32(gain))


def shown(value: Any) -> str:  # noqa: ANN401 (whatever has a text)
    """Text for the terminal: what cannot be printed, and bytes that are no text, as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(value)
    )


def shown_lines(text: str) -> str:
    """Lines for the terminal, whatever names of other people's they hold: see `shown`.

    What stands in quotes or without a space and is longer than anybody reads loses its middle.
    """
    return _LONG_NAME.sub(_without_middle, "\n".join(map(shown, text.split("\n"))))


def _without_middle(name: re.Match[str]) -> str:
    left_out = len(name[0]) - 2 * _KEPT_LETTERS
    return f"{name[0][:_KEPT_LETTERS]}… ({left_out:,} letters) …{name[0][-_KEPT_LETTERS:]}"
