"""Sound files through a model: any format, length, rate and number of channels that libsndfile reads."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.audio.files import AudioSink, AudioSource, resampled, shown, with_length
from lightning_modules.audio.spectrogram import MelSpectrogram
from lightning_modules.base import AudioModel, GenerativeModule, Reconstructs, can_reconstruct, other_use
from lightning_modules.errors import AudioFileError, OptionError
from lightning_modules.inference.blockwise import BLOCK_SECONDS, Block, context_samples, reconstruct_stream
from lightning_modules.metrics.functional import EnergySums, log_mel_distance, si_sdr_of_sums


class FileReconstructor:
    """Reconstructs sound files with one model, block by block.

    Channels: a file with as many channels as the model goes in as it is. A mono model treats each channel of
    a file by itself, so stereo stays stereo. A mono file is given to both sides of a stereo model.

    Args:
        module: A model that can reconstruct, in evaluation mode.
        block_seconds: Length of a block.

    Raises:
        OptionError: If the model cannot reconstruct.
    """

    def __init__(self, module: GenerativeModule, block_seconds: float = BLOCK_SECONDS) -> None:
        if not can_reconstruct(module):
            raise OptionError(
                f"{type(module).__name__} of this checkpoint makes no audio from other audio",
                f"give a VAE or a vocoder{other_use(module)}",
            )
        self.module: Reconstructs = module
        self.block_samples = max(round(block_seconds * module.sample_rate), 1)
        self.context_samples = context_samples(module)

    def blocks(self, source: AudioSource, mono: bool = False) -> Iterator[Block]:
        """Yield the file at the model's rate beside its reconstruction, (B, C, T) each.

        Args:
            source: The file.
            mono: Mix its channels first.

        Raises:
            AudioFileError: If it cannot be decoded or has channels that the model cannot take.
        """
        chunks = source.chunks(self.module.sample_rate)
        clips = (self._as_clips(torch.from_numpy(chunk), source.path, mono) for chunk in chunks)
        return reconstruct_stream(self.module, clips, self.block_samples, self.context_samples)

    def _as_clips(self, chunk: Tensor, path: Path, mono: bool) -> Tensor:
        """(F, T) of a file -> (B, C, T) for the model."""
        if mono:
            chunk = chunk.mean(0, keepdim=True)
        found, wanted = len(chunk), self.module.channels
        if found == wanted:
            return chunk.unsqueeze(0)
        if wanted == 1:
            return chunk.unsqueeze(1)
        if found == 1:
            return chunk.expand(wanted, -1).unsqueeze(0)
        raise AudioFileError(
            f"{shown(path)}: {found} channels, but the model has {wanted}",
            f"mix it down to 1 or {wanted} channels, or use --mono",
        )

    def write(self, source: AudioSource, sink: AudioSink, mono: bool = False) -> dict[str, float]:
        """Write the reconstruction of a file, resampled to the sink's rate.

        Args:
            source: The file.
            sink: Where it goes; with as many channels as `output_channels` says.
            mono: Mix its channels first.

        Returns:
            What `StreamScores` gives.
        """
        scores = StreamScores(self.module.sample_rate)
        joined = (
            block.reconstruction.flatten(0, 1).numpy() for block in scores.watch(self.blocks(source, mono))
        )
        chunks = resampled(joined, self.module.sample_rate, sink.sample_rate)
        if sink.sample_rate == source.sample_rate:  # not a sample more or less after two resamplings
            chunks = with_length(chunks, lambda: source.num_samples)
        for chunk in chunks:
            sink.write(chunk)
        return scores.compute()

    def output_channels(self, source: AudioSource, mono: bool = False) -> int:
        """Channels of the reconstruction of a file."""
        return max(1 if mono else source.channels, self.module.channels)


class StreamScores:
    """Log-mel distance and SI-SDR of a stream of blocks (see `metrics.functional`).

    SI-SDR is that of the whole; the log-mel distance is the mean over blocks, weighted by their lengths.

    Args:
        sample_rate: In Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._mel = MelSpectrogram(sample_rate)
        self._distance = 0.0
        self._num_samples = 0
        self._sums: EnergySums | None = None

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Pass blocks through, and count them in."""
        for block in blocks:
            self.update(block)
            yield block

    def update(self, block: Block) -> None:
        """Count a block in."""
        length = block.original.shape[-1]
        distance = log_mel_distance(block.reconstruction, block.original, self._mel)
        self._distance += length * float(distance.mean())
        self._num_samples += length
        sums = EnergySums.of(block.reconstruction, block.original)
        self._sums = sums if self._sums is None else self._sums.plus(sums)

    def compute(self) -> dict[str, float]:
        """Both in dB, mean over channels; of nothing, 0 and -100."""
        return {
            "log_mel_distance": self._distance / max(self._num_samples, 1),
            "si_sdr": -100.0 if self._sums is None else float(si_sdr_of_sums(self._sums).mean()),
        }


def read_clip(path: Path, module: AudioModel, seconds: float | None = None) -> NDArray[np.float32]:
    """A whole file for a model: at its rate, mixed or repeated to its channels.

    Args:
        path: The file.
        module: The model.
        seconds: How much of it, from the start; all if None.

    Returns:
        (C, T), T at most `seconds`.

    Raises:
        AudioFileError: If it cannot be read.
    """
    wanted = None if seconds is None else round(seconds * module.sample_rate)
    held: list[NDArray[np.float32]] = []
    with AudioSource(path) as source:
        for chunk in source.chunks(module.sample_rate):
            held.append(chunk)
            if wanted is not None and sum(each.shape[1] for each in held) >= wanted:
                break
    waveform = np.concatenate(held, axis=1)[:, :wanted]
    if len(waveform) == module.channels:
        return waveform
    return np.repeat(waveform.mean(axis=0, keepdims=True), module.channels, axis=0)
