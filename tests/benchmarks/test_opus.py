"""Reconstructions beside Opus, a codec that everybody knows, at the same number of bits, of the same clips.

    pytest -m benchmark -s -n 0 tests/benchmarks/test_opus.py

Needs opusenc and opusdec (Debian's opus-tools), and skips without. MAESTRO_CHECKPOINT names a VAE; without it
the default one is trained for MAESTRO_OPUS_SECONDS (300). MAESTRO_OPUS_DATA names an unpacked release laid
out as MAESTRO v3.0.0 in the place of the embedded one, MAESTRO_OPUS_CLIPS how many clips of its test split
are scored at most (32, spread over it).

Rates of a VAE: posterior means are real numbers, which have none; a draw from the posterior costs the KL term
("bits back"); means rounded to steps as wide as the posterior is uncertain cost their entropy, counted
for each latent dimension on these clips: what a file would hold. The rate of Opus is that of its packets,
without the container, in which nothing is said of sound.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from timed_training import WallClock

from lightning_modules import load_module
from lightning_modules.metrics.rates import kilobits_per_second, samples_per_latent_value
from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)

SECONDS = float(os.environ.get("MAESTRO_OPUS_SECONDS", "300"))
DATA = os.environ.get("MAESTRO_OPUS_DATA")
MAX_CLIPS = int(os.environ.get("MAESTRO_OPUS_CLIPS", "32"))
OPUS_RATES = (6.0, 8.0, 10.0, 12.0, 16.0, 24.0)
"""In kbit/s for each channel, beside those of the VAE; 6 is the least that opusenc makes."""
LARGEST_DELAY = 0.05
"""Seconds between a recording and what comes out of a codec, at most."""


def packet_bytes(ogg: bytes) -> int:
    """Bytes of sound in an Ogg Opus file: the lengths in the segment tables of all pages but the headers'.

    Source: RFC 3533, section 6; RFC 7845, section 3 (pages of headers have granule position 0).
    """
    place = total = 0
    while place < len(ogg):
        assert ogg[place : place + 4] == b"OggS"
        segments = ogg[place + 26]
        size = sum(ogg[place + 27 : place + 27 + segments])
        total += size if int.from_bytes(ogg[place + 6 : place + 14], "little") else 0
        place += 27 + segments + size
    return total


def through_opus(clip: np.ndarray, sample_rate: int, kilobits: float, folder: Path) -> tuple[np.ndarray, int]:
    """A clip (C, T) through Opus, at its own length and rate, and the bytes of its packets."""
    wav, opus, decoded = (folder / name for name in ("clip.wav", "clip.opus", "decoded.wav"))
    soundfile.write(wav, clip.T, sample_rate, subtype="PCM_16")
    subprocess.run(["opusenc", "--quiet", "--music", "--bitrate", f"{kilobits:.3f}", wav, opus], check=True)
    subprocess.run(["opusdec", "--quiet", "--rate", "48000", opus, decoded], check=True)
    audio, rate = soundfile.read(decoded, dtype="float32", always_2d=True)
    audio = soxr.resample(audio, rate, sample_rate, "VHQ").T[:, : clip.shape[1]]
    return np.pad(audio, ((0, 0), (0, clip.shape[1] - audio.shape[1]))), packet_bytes(opus.read_bytes())


def aligned(estimate: np.ndarray, target: np.ndarray, sample_rate: int, finer: int = 32) -> np.ndarray:
    """`estimate` (C, T) moved in time, by parts of a sample, to where it is most like `target` (C, T).

    A codec's delay that is left over is no loss of sound, but costs SI-SDR: 14 dB at 1 kHz is all that half
    a sample of 16 kHz leaves.
    """
    length = estimate.shape[1]
    size = 2 * length
    spectra = np.fft.rfft(estimate, size), np.fft.rfft(target, size)
    similarity = np.fft.irfft((spectra[0] * spectra[1].conj()).sum(0), size * finer)
    reach = int(LARGEST_DELAY * sample_rate) * finer
    lags = np.arange(-reach, reach + 1)
    delay = lags[similarity[lags].argmax()] / finer  # samples
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(size) * delay)
    return np.fft.irfft(spectra[0] * turn, size)[:, :length].astype(np.float32)


def entropy_bits(symbols: torch.Tensor) -> float:
    """Entropy of whole numbers (Z, N) in bits per column: each of the Z rows has a code of its own."""
    total = 0.0
    for row in symbols:
        share = row.unique(return_counts=True)[1].double() / len(row)
        total -= float((share * share.log2()).sum())
    return total


@torch.no_grad()
def reconstructions(model, clips: torch.Tensor) -> dict[str, tuple[torch.Tensor, float | None]]:
    """Reconstructions (B, C, T) of the VAE by name, with their kbit/s."""
    torch.manual_seed(0)
    posteriors = [model.encode(clip) for clip in clips.split(1)]
    per_second = model.sample_rate / model.latent_hop_samples

    def decoded(latents: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([model.decode_latent(latent, clips.shape[-1]) for latent in latents])

    draws = [posterior.sample() for posterior in posteriors]
    kl = torch.cat([model.prior(*pair).sum(1) for pair in zip(posteriors, draws, strict=True)])  # (B, L)
    found = {
        "posterior mean": (decoded([posterior.mean for posterior in posteriors]), None),
        "draw from the posterior": (decoded(draws), kilobits_per_second(kl.mean().item() * per_second)),
    }
    variance = torch.cat([each.log_variance for each in posteriors]).exp().mean((0, 2))  # (Z,)
    for width in (1.0, 2.0):  # a uniform error in a step has a twelfth of its square as variance
        step = width * (12.0 * variance).sqrt()[:, None]
        symbols = [(posterior.mean / step).round() for posterior in posteriors]
        bits = entropy_bits(torch.cat(symbols).transpose(0, 1).flatten(1)) * per_second
        name = f"means in steps of {width:g} x their uncertainty"
        found[name] = decoded([symbol * step for symbol in symbols]), bits / 1000.0
    return found


def opus(clips: torch.Tensor, sample_rate: int, kilobits: float, folder: Path) -> tuple[torch.Tensor, float]:
    """Clips (B, C, T) through Opus, aligned, and the kbit/s of the packets."""
    pairs = [through_opus(clip, sample_rate, kilobits, folder) for clip in clips.numpy()]
    audio = [
        aligned(decoded, clip, sample_rate) for (decoded, _), clip in zip(pairs, clips.numpy(), strict=True)
    ]
    seconds = clips.shape[0] * clips.shape[-1] / sample_rate
    return torch.from_numpy(np.stack(audio)), sum(size for _, size in pairs) * 8 / seconds / 1000.0


def row(name: str, output: torch.Tensor, kilobits: float | None, clips: torch.Tensor, rate: int) -> str:
    """A line of the table."""
    metrics = LogMelDistance(rate), MultiScaleSpectralDistance(), ScaleInvariantSDR()
    scores = []
    for metric in metrics:
        for pair in zip(output.split(1), clips.split(1), strict=True):
            metric.update(*pair)
        scores.append(f"{metric.compute().item():.2f}")
    return f"| {name} | {'' if kilobits is None else f'{kilobits:.1f}'} | {' | '.join(scores)} |"


def test_packets_are_counted_and_delays_found():
    page = b"OggS" + bytes([0, 4]) + (960).to_bytes(8, "little") + bytes(12) + bytes([2, 255, 7]) + bytes(262)
    header = b"OggS" + bytes([0, 2]) + bytes(8) + bytes(12) + bytes([1, 19]) + bytes(19)
    assert packet_bytes(header + page) == 262
    assert entropy_bits(torch.tensor([[0, 1, 2, 3], [5, 5, 5, 5], [0, 0, 1, 1]])) == pytest.approx(3.0)
    time = np.arange(16_000) / 16_000
    window = np.hanning(16_000)
    late = [(np.sin(2 * np.pi * 997 * (time - shift)) * window)[None] for shift in (0.0, 40.25 / 16_000)]
    found = torch.from_numpy(aligned(late[1], late[0], 16_000))[None]
    assert ScaleInvariantSDR()(found, torch.from_numpy(late[0])[None]) > 35.0


@pytest.mark.benchmark
def test_against_opus(start_vae, train_for, tmp_path, capsys):
    if shutil.which("opusenc") is None or shutil.which("opusdec") is None:
        pytest.skip("opusenc and opusdec are not installed (Debian: apt install opus-tools)")
    source = ["--data.release", "v3.0.0", "--data.source", DATA] if DATA else []
    if checkpoint := os.environ.get("MAESTRO_CHECKPOINT"):
        model = load_module(checkpoint)
        shape = ["--data.sample_rate", model.sample_rate, "--data.channels", model.channels]
        data = start_vae(*source, *shape).datamodule
        data.prepare_data()
    else:
        run = train_for(*source, clock=WallClock(SECONDS))
        model, data = run.model, run.data
    data.setup("test")
    clips = torch.cat([batch.to_batch().waveform for batch in data.test_dataloader()])
    clips = clips[:: -(-len(clips) // MAX_CLIPS)]
    rate = model.sample_rate
    made = reconstructions(model, clips)
    values = model.latent_size * rate / model.latent_hop_samples
    lines = [row(name, *result, clips, rate) for name, result in made.items()]
    own = [kilobits for _, kilobits in made.values() if kilobits is not None and kilobits > OPUS_RATES[0]]
    for kilobits in sorted([*own, *(each * model.channels for each in OPUS_RATES)]):
        lines.append(
            row(f"Opus, asked for {kilobits:.1f}", *opus(clips, rate, kilobits, tmp_path), clips, rate)
        )
    with capsys.disabled():
        share = samples_per_latent_value(rate, model.channels, values)
        print(
            f"\n{len(clips)} clips of {clips.shape[-1] / rate:.0f} s, {rate} Hz, {model.channels} channels;"
        )
        print(f"{values:.0f} latent values per second, {share:g} samples per value")
        print("| | kbit/s | log-mel, dB | spectral | SI-SDR, dB |\n|---|---|---|---|---|")
        print("\n".join(lines))
