"""Formulas of the metrics, stateless; waveforms are (B, C, T) and results one value per clip."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.audio.spectrogram import MelSpectrogram, STFTMagnitude, power_to_db
from lightning_modules.numerics.precision import to_float64

NOISE_TONALITY = 0.52
"""`tonality` of any noise, in nats."""
_BINS = 16


def log_mel_distance(
    estimate: Tensor,
    target: Tensor,
    mel: MelSpectrogram,
    floor_db: float = -100.0,
    bands: slice = slice(None),
) -> Tensor:
    """Mean absolute difference of two log-mel spectrograms.

    Args:
        estimate: (B, C, T).
        target: (B, C, T).
        mel: The front end.
        floor_db: Level below which both count as silence, in dB relative to a full-scale sine.
        bands: Those of the mel bands that count.

    Returns:
        (B,) in dB.
    """
    difference = power_to_db(mel(estimate), floor_db) - power_to_db(mel(target), floor_db)
    difference = difference[..., bands, :]
    return difference.abs().flatten(1).mean(1)


def multi_scale_spectral_distance(estimate: Tensor, target: Tensor, scales: Iterable[nn.Module]) -> Tensor:
    """Spectral convergence plus mean absolute log ratio of magnitudes, averaged over STFT scales.

    Args:
        estimate: (B, C, T).
        target: (B, C, T).
        scales: `STFTMagnitude` transforms, one per scale.

    Returns:
        (B,) dimensionless; 0 for equal waveforms.
    """
    distances = []
    for transform in scales:
        magnitude, reference = transform(estimate).flatten(1), transform(target).flatten(1)
        convergence = (magnitude - reference).norm(dim=1) / reference.norm(dim=1)
        distances.append(convergence + (magnitude.log() - reference.log()).abs().mean(1))
    return torch.stack(distances).mean(0)


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019, eq. 3), means removed.

    Args:
        estimate: (B, C, T).
        target: (B, C, T).

    Returns:
        (B,) in dB, mean over channels; at least -100, which is what silence on either side gives.
    """
    device = estimate.device
    estimate, target = to_float64(estimate), to_float64(target)
    estimate, target = (each - each.mean(-1, keepdim=True) for each in (estimate, target))
    tiny = torch.finfo(torch.float32).tiny
    projection = (estimate * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True).clamp_min(
        tiny
    )
    signal = (projection * target).square().sum(-1)
    distortion = (estimate - projection * target).square().sum(-1)
    ratio = signal / distortion.clamp_min(tiny)
    return power_to_db(ratio).mean(-1).float().to(device)


class EnergySums(NamedTuple):
    """Sums over time of a target and an estimate, which add up over the blocks of a signal.

    Attributes:
        target: (…).
        estimate: (…).
        target_energy: (…), of squares.
        estimate_energy: (…), of squares.
        product: (…), of the product of both.
        num_samples: How many samples each is the sum of.
    """

    target: Tensor
    estimate: Tensor
    target_energy: Tensor
    estimate_energy: Tensor
    product: Tensor
    num_samples: int

    @classmethod
    def of(cls, estimate: Tensor, target: Tensor) -> "EnergySums":
        """Of (…, T) each, in float64."""
        target, estimate = to_float64(target), to_float64(estimate)
        return cls(
            target.sum(-1),
            estimate.sum(-1),
            target.square().sum(-1),
            estimate.square().sum(-1),
            (target * estimate).sum(-1),
            target.shape[-1],
        )

    def plus(self, other: "EnergySums") -> "EnergySums":
        """Of the block and another."""
        return EnergySums(
            self.target + other.target,
            self.estimate + other.estimate,
            self.target_energy + other.target_energy,
            self.estimate_energy + other.estimate_energy,
            self.product + other.product,
            self.num_samples + other.num_samples,
        )


def si_sdr_of_sums(sums: EnergySums) -> Tensor:
    """`si_sdr` of a signal that is too long to hold: (…) float64 in dB, up to about 150, for each channel."""
    tiny, count = torch.finfo(torch.float32).tiny, sums.num_samples
    target_energy = sums.target_energy - sums.target.square() / count
    estimate_energy = sums.estimate_energy - sums.estimate.square() / count
    product = sums.product - sums.target * sums.estimate / count
    signal = product.square() / target_energy.clamp_min(tiny)
    return power_to_db(signal / (estimate_energy - signal).clamp_min(tiny))


def chroma_similarity(
    estimate: Tensor, target: Tensor, stft: STFTMagnitude, filters: Tensor, floor_db: float = -60.0
) -> Tensor:
    """Cosine of the angle between chroma vectors, frame by frame: which pitch classes sound, at any loudness.

    Args:
        estimate: (B, C, T).
        target: (B, C, T).
        stft: The front end.
        filters: (12, F), weights of the bins in each pitch class.
        floor_db: Frames of the target this far below its loudest one are not counted.

    Returns:
        (B,) from 0 to 1; 1 where the target is silent throughout.
    """
    chroma, reference = (filters @ stft(x.mean(1)).square() for x in (estimate, target))  # (B, 12, N)
    energy = reference.sum(1)  # (B, N)
    # the magnitude's own floor, in every bin, is silence
    silence = filters.sum() * stft.floor**2
    counted = (energy > energy.amax(1, keepdim=True) * 10.0 ** (floor_db / 10.0)) & (energy > 2.0 * silence)
    cosine = functional.cosine_similarity(chroma, reference, dim=1, eps=1e-20) * counted
    return torch.where(counted.any(1), cosine.sum(1) / counted.sum(1).clamp_min(1), 1.0)


def stereo_level_distance(
    estimate: Tensor, target: Tensor, mel: MelSpectrogram, by_power: bool = False, floor_db: float = -60.0
) -> Tensor:
    """How far level differences of left and right are off: mean over mel bands and frames.

    Args:
        estimate: (B, 2, T).
        target: (B, 2, T).
        mel: The front end.
        by_power: Whether bands and frames count as much as their power in the target, and not alike.
        floor_db: Bands and frames of the target this far below its loudest one are not counted.

    Returns:
        (B,) in dB.
    """
    powers = mel(estimate), mel(target)  # (B, 2, M, N) each
    own, reference = (level[:, 0] - level[:, 1] for level in map(power_to_db, powers))
    power = powers[1].mean(1)  # (B, M, N)
    weight = _loud(power, floor_db)
    return _weighted_mean((own - reference).abs(), weight * power if by_power else weight)


def stereo_correlation_distance(
    estimate: Tensor, target: Tensor, frame_samples: int = 2048, floor_db: float = -60.0
) -> Tensor:
    """How far the correlation of left and right is off: mean over frames.

    Args:
        estimate: (B, 2, T).
        target: (B, 2, T).
        frame_samples: Length of the frames in which channels are correlated; T must hold one.
        floor_db: Frames of the target this far below its loudest one are not counted.

    Returns:
        (B,) from 0 to 2.
    """
    frames = [x.float().unfold(2, frame_samples, frame_samples) for x in (estimate, target)]
    own, reference = map(_channel_correlation, frames)
    return _weighted_mean((own - reference).abs(), _loud(frames[1].square().mean((1, 3)), floor_db))


def _channel_correlation(frames: Tensor) -> Tensor:
    """Of left and right in frames (B, 2, N, samples): (B, N) from -1 to 1."""
    energy = frames.square().sum(-1)
    product = (frames[:, 0] * frames[:, 1]).sum(-1)
    return product / (energy[:, 0] * energy[:, 1]).clamp_min(1e-12).sqrt()


def _loud(power: Tensor, floor_db: float) -> Tensor:
    """1 where a power (B, …) is not `floor_db` or more below the clip's largest, else 0."""
    loudest = power.flatten(1).amax(1).view(-1, *[1] * (power.ndim - 1))
    return (power >= 10.0 ** (floor_db / 10.0) * loudest).float()


def _weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """(B,) means of (B, …); 0 where nothing has weight."""
    total = weight.flatten(1).sum(1)
    return (value * weight).flatten(1).sum(1) / total.clamp_min(torch.finfo(torch.float32).tiny)


def tonality(waveform: Tensor, sample_rate: int) -> Tensor:
    """How far the spectrum's fine structure is from that of noise: notes have sharp partials, noise has none.

    In bands of 16 bins of spectra over a quarter of a second: the logarithm of the mean power minus the mean
    logarithm (spectral flatness in nats). Averaged, weighted by amplitude, over frames and over bands from 60
    to 4,000 Hz. Whatever its loudness and colour, noise has about `NOISE_TONALITY`: the powers of its bins
    are exponentially distributed, for which the difference is Euler's constant 0.577, less 1/(2n) for a mean
    of n independent bins.

    Args:
        waveform: (B, C, T); shorter clips than a quarter of a second are followed by silence.
        sample_rate: In Hz.

    Returns:
        (B,) in nats, mean over channels; 0 for silence.
    """
    fft_samples = 1 << max(round(math.log2(sample_rate / 4)), 5)
    low, high = (round(edge * fft_samples / sample_rate) for edge in (60.0, min(4000.0, sample_rate / 2)))
    num_bands = (high - low) // _BINS
    flat = to_float64(waveform).flatten(0, 1)
    flat = functional.pad(flat, (0, max(fft_samples - flat.shape[-1], 0)))
    window = torch.hann_window(fft_samples, dtype=flat.dtype, device=flat.device)
    spectrum = torch.stft(
        flat, fft_samples, fft_samples // 2, window=window, center=False, return_complex=True
    )
    power = spectrum.abs().square()[:, low : low + num_bands * _BINS].unflatten(1, (num_bands, _BINS))
    power = power.clamp_min(1e-20)
    mean = power.mean(2)  # (B·C, bands, N)
    weight = mean.sqrt() * (mean > 1e-19)
    found = ((mean.log() - power.log().mean(2)) * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-20)
    return found.unflatten(0, waveform.shape[:2]).mean(1).float().to(waveform.device)
