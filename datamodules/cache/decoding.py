"""Decode and resample recordings.

Of a release, what is accepted, because it converts without surprise: 16-, 24- and 32-bit integer and 32- and
64-bit float samples, mono or stereo, at 44.1 kHz or more (or at least the rate asked for). What is refused,
because it would teach a model something that is no piano: 8-bit and companded samples (their noise floor is
audible), more than two channels (no agreed mix-down), lower rates (the upper octaves are missing), NaN and
infinity. Of anything else, whatever libsndfile reads is accepted, apart from NaN and infinity.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from datamodules.archive.base import ByteStream
from datamodules.archive.folder import FileStream
from datamodules.archive.sound_stream import SoundStream
from datamodules.archive.wav_stream import WavStream
from datamodules.errors import AudioError
from datamodules.files import HIGHEST_RATE, INFINITE

ResamplerQuality = Literal["LQ", "MQ", "HQ", "VHQ"]

RESAMPLER_QUALITY: ResamplerQuality = "HQ"
"""soxr's 20-bit recipe: its stop band lies below the rounding noise of 16-bit samples."""

MAESTRO_MIN_RATE = 44_100
"""Hz; the lowest sample rate in any release of MAESTRO."""


_RESTORE = "restore the recording from the official release, or exclude it"
_SUBTYPES = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
_FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")
_BLOCK_FRAMES = 1 << 16
_FULL_SCALE = 32768.0
_MAX_CLIPPED_SHARE = 0.01


class SampleStream(Protocol):
    """The samples of a recording, from front to back.

    Attributes:
        samplerate: In Hz.
        channels: Number of channels.
        frames: Samples per channel that are promised; 0 if none are.
        subtype: libsndfile's name of the sample format.
    """

    samplerate: int
    channels: int
    frames: int
    subtype: str

    def read(self, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode into `out`, (T, C); returns the part of it that was filled, empty at the end."""


@dataclass(frozen=True)
class PcmSummary:
    """Facts about the samples written for one recording.

    Attributes:
        samples: Length per channel, at the target rate.
        source_rate: Sample rate of the recording in Hz.
        clipped: Number of samples that exceeded full scale after resampling and were limited to it.
        crc32: CRC-32 of the bytes written.
    """

    samples: int
    source_rate: int
    clipped: int
    crc32: int


def convert_to_pcm(
    source: ByteStream,
    target: BinaryIO,
    sample_rate: int,
    channels: int,
    quality: ResamplerQuality = RESAMPLER_QUALITY,
    on_block: Callable[[float], None] | None = None,
    is_release: bool = True,
) -> PcmSummary:
    """Stream a recording into raw little-endian int16, interleaved, at one rate and channel count.

    Mono is the mean of all channels; what has one channel, or more than two, becomes stereo by repeating
    that. Values are rounded to the nearest of 65,536 steps and limited to full scale. Memory use does not
    depend on the length.

    Args:
        source: The content of a WAV file.
        target: Where the samples are written.
        sample_rate: Target rate in Hz.
        channels: Target number of channels, 1 or 2.
        quality: soxr's recipe.
        on_block: Called with the seconds of audio converted since the last call.
        is_release: Whether it must be a WAV file as in a release, or may be of any kind.

    Raises:
        AudioError: If the recording is absent, truncated, empty, not finite or of a refused format.
        OSError: If writing to `target` fails.
    """
    samples = clipped = crc32 = 0
    name, file = source.name, _open_samples(source, sample_rate, is_release)
    blocks = _mixed_blocks(file, name, channels, on_block)
    for block in _resampled(blocks, file.samplerate, sample_rate, channels, quality):
        pcm, over = quantise(block)
        target.write(pcm.data)
        crc32 = zlib.crc32(pcm.data, crc32)
        samples, clipped = samples + len(pcm), clipped + over
    if clipped > _MAX_CLIPPED_SHARE * samples * channels:
        raise AudioError(
            f"{name}: {clipped / samples / channels:.0%} of the samples exceed full scale",
            "scale the recording to [-1, 1], or replace it by the official one",
        )
    return PcmSummary(samples, file.samplerate, clipped, crc32)


def quantise(waveform: NDArray[np.float32]) -> tuple[NDArray[np.int16], int]:
    """Round float samples to int16.

    Args:
        waveform: (T, C) in [-1, 1]; overwritten.

    Returns:
        (T, C) int16 little-endian, and how many samples were limited to full scale.
    """
    np.multiply(waveform, _FULL_SCALE, out=waveform)
    np.rint(waveform, out=waveform)
    clipped = 0
    if waveform.size and (waveform.max() > _FULL_SCALE - 1 or waveform.min() < -_FULL_SCALE):
        clipped = int(np.count_nonzero((waveform > _FULL_SCALE - 1) | (waveform < -_FULL_SCALE)))
        np.clip(waveform, -_FULL_SCALE, _FULL_SCALE - 1, out=waveform)
    return waveform.astype("<i2"), clipped


def _open_samples(source: ByteStream, sample_rate: int, is_release: bool) -> SampleStream:
    if is_release:
        stream = WavStream(source)
        _check_format(stream, source.name, sample_rate)
        return stream
    assert isinstance(source, FileStream)  # only folders hold anything else
    return SoundStream(source.file, source.name)


def _check_format(file: WavStream, name: str, sample_rate: int) -> None:
    if file.frames == 0:
        raise AudioError(f"{name}: holds no samples", "restore the recording from the official release")
    if file.subtype not in _SUBTYPES:
        raise AudioError(
            f"{name}: sample format {file.subtype}",
            f"convert it to 16-bit; accepted: {', '.join(_SUBTYPES)}",
        )
    if file.channels > 2:
        raise AudioError(f"{name}: {file.channels} channels", "mix it down to 1 or 2 channels")
    if file.samplerate < min(sample_rate, MAESTRO_MIN_RATE):
        raise AudioError(
            f"{name}: its sample rate of {file.samplerate} Hz is below the {sample_rate} Hz asked for",
            "restore the official recording (44,100 or 48,000 Hz), or lower `sample_rate`",
        )

    if file.samplerate > HIGHEST_RATE:
        raise AudioError(f"{name}: a sample rate of {file.samplerate:,} Hz", _RESTORE)


def _mixed_blocks(
    file: SampleStream, name: str, channels: int, on_block: Callable[[float], None] | None
) -> Iterator[NDArray[np.float32]]:
    """Yield (T, channels) float32 blocks; every array is valid until the next is asked for."""
    buffer = np.empty((_BLOCK_FRAMES, file.channels), dtype=np.float32)
    position = 0
    while not file.frames or position < file.frames:
        block = file.read(out=buffer)
        if len(block) == 0 and not file.frames:
            break
        if len(block) == 0:
            raise AudioError(
                f"{name}: decoding stopped at {position / file.samplerate:.1f} s "
                f"of {file.frames / file.samplerate:.1f} s",
                _RESTORE,
            )
        if file.subtype in _FLOAT_SUBTYPES and not (finite := np.abs(block) < INFINITE).all():
            place = position + int(np.argmin(finite.reshape(len(block), -1).all(1)))
            raise AudioError(
                f"{name}: a sample is NaN or infinite at {place / file.samplerate:.2f} s", _RESTORE
            )
        position += len(block)
        yield _mix(block, channels)
        if on_block is not None:
            on_block(len(block) / file.samplerate)


def _mix(block: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """(T, any number) -> (T, channels)."""
    if block.shape[1] == channels:
        return block
    if block.shape[1] > 2:
        block = block.mean(axis=1, keepdims=True)
    elif channels == 1:
        mono = block[:, :1] + block[:, 1:]
        mono *= 0.5
        return mono
    return np.repeat(block, channels, axis=1)


def _resampled(
    blocks: Iterator[NDArray[np.float32]],
    source_rate: int,
    target_rate: int,
    channels: int,
    quality: ResamplerQuality,
) -> Iterator[NDArray[np.float32]]:
    """Resample a stream of (T, C) blocks; blocks of the target rate pass unchanged."""
    if source_rate == target_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(source_rate, target_rate, channels, dtype="float32", quality=quality)
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty((0, channels), dtype=np.float32), last=True)
