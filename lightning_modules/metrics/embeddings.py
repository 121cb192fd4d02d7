"""Embeddings: waveforms -> vectors, whose distributions distances compare."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.audio.spectrogram import MelSpectrogram, power_to_db
from lightning_modules.errors import OptionError
from lightning_modules.metrics.transcription import SEGMENT_SECONDS, transkun_features, transkun_network


class Embedding(nn.Module, ABC):
    """A frozen map from a clip to vectors.

    Attributes:
        name: Names the scores that are made with it: `frechet_<name>`.
        unit: Of its vectors, for tables; empty for none.
        sample_rate: Rate in Hz that it works at; clips of any other are resampled.
        size: Numbers F in a vector.
    """

    name: str
    unit: str = ""
    sample_rate: int
    size: int

    @torch.no_grad()
    def forward(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Embed clips: channels averaged, resampled, in float32 under any autocast.

        Args:
            waveform: (B, C, T) float, any T >= 1.
            sample_rate: Its rate in Hz.

        Returns:
            (B, E, F) float32; E, at least 1, is fixed by T.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            mono = waveform.float().mean(1)  # (B, T)
            if sample_rate != self.sample_rate:
                from torchaudio.functional import resample  # half a second to import

                mono = resample(mono, sample_rate, self.sample_rate)
            return self.embed(mono)

    @abstractmethod
    def embed(self, waveform: Tensor) -> Tensor:
        """(B, T) float32 at `sample_rate` -> (B, E, F) float32."""


class LogMelStatistics(Embedding):
    """Mean and standard deviation of log-mel levels in dB over each quarter of a second; no weights.

    Args:
        sample_rate: Rate in Hz that it works at.
        num_mels: Mel bands M; F = 2 M.
        segment_seconds: Length of the parts that get one vector each.
        floor_db: Level below which all counts as silence, in dB relative to a full-scale sine.
    """

    name = "log_mel_statistics"
    unit = "dB"

    def __init__(
        self,
        sample_rate: int = 16_000,
        num_mels: int = 40,
        segment_seconds: float = 0.25,
        floor_db: float = -80.0,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.size = 2 * num_mels
        self.floor_db = floor_db
        self.mel = MelSpectrogram(sample_rate, num_mels=num_mels)
        self.segment_frames = max(round(segment_seconds * sample_rate / self.mel.stft.hop_samples), 1)

    def embed(self, waveform: Tensor) -> Tensor:
        """See `Embedding.embed`; a shorter clip is one segment, a shorter rest is dropped."""
        levels = power_to_db(self.mel(waveform), self.floor_db)  # (B, M, N)
        length = min(self.segment_frames, levels.shape[-1])
        segments = levels.unfold(2, length, length).transpose(1, 2)  # (B, E, M, length)
        return torch.cat([segments.mean(-1), segments.std(-1, correction=0)], dim=-1)


class CrepeEmbedding(Embedding):
    """Fifth layer of CREPE, a pitch tracker (Kim et al. 2018); its weights come in the package torchcrepe.

    It hears which pitches sound, in frames of 64 ms; each frame's level is normalised, as CREPE was trained.

    Args:
        capacity: "tiny" (F = 256) or "full" (F = 2048).
        hop_seconds: Distance between frames.

    Raises:
        OptionError: If torchcrepe is not installed.
    """

    name = "crepe"
    frame_samples = 1024

    def __init__(self, capacity: str = "tiny", hop_seconds: float = 0.25) -> None:
        super().__init__()
        try:
            import torchcrepe
        except ImportError as error:
            raise _missing("CrepeEmbedding", "torchcrepe", "crepe") from error
        self.sample_rate = 16_000
        self.hop_samples = max(round(hop_seconds * self.sample_rate), 1)
        self.network = torchcrepe.Crepe(capacity)
        self.size = self.network.in_features if capacity == "full" else 256
        weights = Path(torchcrepe.__file__).parent / "assets" / f"{capacity}.pth"
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.requires_grad_(False).eval()

    def embed(self, waveform: Tensor) -> Tensor:
        """See `Embedding.embed`; a shorter clip is padded with silence, a shorter rest is dropped."""
        short = max(self.frame_samples - waveform.shape[-1], 0)
        frames = nn.functional.pad(waveform, (0, short)).unfold(1, self.frame_samples, self.hop_samples)
        frames = frames - frames.mean(-1, keepdim=True)
        frames = frames / frames.std(-1, keepdim=True).clamp_min(1e-10)  # (B, E, 1024)
        return torch.stack([self.network.embed(clip).flatten(1) for clip in frames])


class TranskunEmbedding(Embedding):
    """Features of Transkun, a piano transcriber trained on MAESTRO (Yan and Duan 2024).

    The features from which it decides, averaged over its keys and over each quarter of a second. It hears
    notes where statistics of a spectrogram hear colour, and costs about a second of a CPU's time per second
    of audio, 16 at least for each clip.

    Args:
        segment_seconds: Length of the parts that get one vector each.

    Raises:
        OptionError: If transkun is not installed.
    """

    name = "transkun"

    def __init__(self, segment_seconds: float = 0.25) -> None:
        super().__init__()
        network: Any = transkun_network()
        self.network = network
        self.sample_rate = network.fs
        self.size = network.conf.baseSize * network.conf.scoringExpansionFactor
        self.segment_frames = max(round(segment_seconds * self.sample_rate / network.hopSize), 1)

    def embed(self, waveform: Tensor) -> Tensor:
        """See `Embedding.embed`; a shorter clip is one vector, a shorter rest is dropped."""
        return torch.stack([self._embed_one(clip) for clip in waveform])

    def _embed_one(self, clip: Tensor) -> Tensor:
        length = round(SEGMENT_SECONDS * self.sample_rate)
        num_frames = max(len(clip) // self.network.hopSize, 1)
        parts = nn.functional.pad(clip, (0, -len(clip) % length)).split(length)
        features = torch.cat([transkun_features(self.network, part) for part in parts])[:num_frames]  # (N, F)
        taken = min(self.segment_frames, num_frames)
        return features.unfold(0, taken, taken).mean(-1)


class ClapEmbedding(Embedding):
    """Audio tower of CLAP (Wu et al. 2023), trained on music and its descriptions, by transformers.

    A vector stands for ten seconds at most; of longer clips each ten seconds get one.

    Args:
        model: Name on the Hugging Face hub, from where the weights (about 780 MB) come on first use, or the
            folder of a saved model.

    Raises:
        OptionError: If transformers is not installed, or the model is neither on this machine nor reachable.
    """

    name = "clap"

    def __init__(self, model: str = "laion/larger_clap_music") -> None:
        super().__init__()
        try:
            from transformers import ClapFeatureExtractor, ClapModel
        except ImportError as error:
            raise _missing("ClapEmbedding", "transformers", "clap") from error
        try:
            self.extractor: Any = ClapFeatureExtractor.from_pretrained(model)
            self.network: Any = ClapModel.from_pretrained(model)
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise OptionError(
                f"ClapEmbedding's model {model!r} is not on this machine and cannot be fetched ({reason})",
                "connect to the internet once, give the folder of a downloaded copy, or use LogMelStatistics",
            ) from error
        self.sample_rate = self.extractor.sampling_rate
        self.size = self.network.config.projection_dim
        self.requires_grad_(False).eval()

    def embed(self, waveform: Tensor) -> Tensor:
        """See `Embedding.embed`; a shorter clip is repeated, a shorter rest is dropped."""
        length = min(self.extractor.nb_max_samples, waveform.shape[-1])
        segments = waveform.unfold(1, length, length)  # (B, E, length)
        inputs = self.extractor(
            list(segments.flatten(0, 1).cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt"
        ).to(waveform.device)
        features = self.network.get_audio_features(**inputs)
        pooled = features if isinstance(features, Tensor) else features.pooler_output
        return pooled.float().unflatten(0, segments.shape[:2])


def _missing(name: str, package: str, extra: str) -> OptionError:
    return OptionError(
        f"{name} needs the package {package}, which is not installed",
        f'pip install -e ".[{extra}]", or use LogMelStatistics, which needs nothing',
    )
