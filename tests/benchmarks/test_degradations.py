"""What each score says of known damage: `pytest -m slow -s tests/benchmarks/test_degradations.py`.

Every score that claims to hear a kind of damage must order its levels; a shift in time must not move those
that compare whole sets.
"""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal
import torch

from datamodules import MaestroDataModule
from lightning_modules.callbacks.comparison import frechet_of, kernel_of
from lightning_modules.metrics.embeddings import CrepeEmbedding, LogMelStatistics
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    LogMelDistance,
    MultiScaleSpectralDistance,
    OnsetFScore,
    ScaleInvariantSDR,
)

pytestmark = pytest.mark.slow

RATE = 16_000
CLIP_SECONDS = 8

Damage = Callable[[np.ndarray], np.ndarray]


def noise(level_db: float) -> Damage:
    """White noise this far below full scale, in dB (root mean square)."""

    def apply(clip: np.ndarray) -> np.ndarray:
        return clip + 10 ** (level_db / 20) * np.random.default_rng(0).standard_normal(clip.shape)

    return apply


def low_pass(cutoff: float) -> Damage:
    """An eighth-order Butterworth filter, forwards and backwards: no delay."""
    sections = scipy.signal.butter(8, cutoff, fs=RATE, output="sos")
    return lambda clip: scipy.signal.sosfiltfilt(sections, clip).copy()


def shift(seconds: float) -> Damage:
    return lambda clip: np.roll(clip, round(seconds * RATE))


def semitone_up(clip: np.ndarray) -> np.ndarray:
    import librosa

    return librosa.effects.pitch_shift(clip, sr=RATE, n_steps=1)


def eight_bits(clip: np.ndarray) -> np.ndarray:
    return np.round(clip * 128) / 128


DAMAGES: dict[str, Damage] = {
    "noise -60 dB": noise(-60),
    "noise -40 dB": noise(-40),
    "noise -20 dB": noise(-20),
    "low-pass 6 kHz": low_pass(6000),
    "low-pass 3 kHz": low_pass(3000),
    "low-pass 1 kHz": low_pass(1000),
    "20 ms late": shift(0.02),
    "semitone up": semitone_up,
    "8 bits": eight_bits,
}
NOISE = ("noise -60 dB", "noise -40 dB", "noise -20 dB")
LOW_PASS = ("low-pass 6 kHz", "low-pass 3 kHz", "low-pass 1 kHz")
Table = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def table() -> Table:
    """Score -> damage -> value, on the test split of the embedded release."""
    data = MaestroDataModule(eval_clip_seconds=CLIP_SECONDS, progress=False)
    data.prepare_data()
    data.setup()
    clips = torch.cat([batch.to_batch().waveform for batch in data.test_dataloader()])
    real = clips[::2]  # (B, 1, T): enough, and quick
    paired = {
        "log-mel distance, dB": LogMelDistance(RATE),
        "multi-scale spectral distance": MultiScaleSpectralDistance(),
        "SI-SDR, dB": ScaleInvariantSDR(),
        "chroma similarity": ChromaSimilarity(RATE),
        "onset F-score": OnsetFScore(RATE),
    }
    embeddings = {"log-mel": LogMelStatistics(), "CREPE": CrepeEmbedding()}
    originals = {name: embedding(real, RATE) for name, embedding in embeddings.items()}
    found: Table = {}
    for damage, apply in DAMAGES.items():
        damaged = torch.from_numpy(np.stack([[apply(clip[0].astype(np.float64))] for clip in real.numpy()]))
        damaged = damaged.float()
        for name, metric in paired.items():
            found.setdefault(name, {})[damage] = metric.values(damaged, real).mean().item()
        for name, embedding in embeddings.items():
            vectors = embedding(damaged, RATE)
            found.setdefault(f"Fréchet, {name}", {})[damage] = frechet_of(vectors, originals[name]).item()
            found.setdefault(f"MMD, {name}", {})[damage] = kernel_of(vectors, originals[name]).item()
    print("\n" + markdown(found))
    return found


def markdown(found: Table) -> str:
    """The table of the README."""
    short = [damage.replace("noise ", "noise<br>").replace("low-pass ", "low-pass<br>") for damage in DAMAGES]
    lines = ["| score | " + " | ".join(short) + " |", "|---" * (len(DAMAGES) + 1) + "|"]
    for name, row in found.items():
        cells = [f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" for value in row.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rises(row: dict[str, float], damages: tuple[str, ...]) -> bool:
    return all(np.diff([row[damage] for damage in damages]) > 0)


DISTANCES = ("log-mel distance, dB", "multi-scale spectral distance", "Fréchet, log-mel", "MMD, log-mel")


@pytest.mark.parametrize("score", [*DISTANCES, "Fréchet, CREPE"])
@pytest.mark.parametrize("damages", [NOISE, LOW_PASS], ids=["noise", "low-pass"])
def test_distances_rise_with_noise_and_with_lost_treble(table: Table, score: str, damages: tuple[str, ...]):
    assert rises(table[score], damages), table[score]


def test_the_kernel_distance_of_pitches_rises_with_noise(table: Table):
    # and does not hear lost treble, which a pitch tracker does not need
    assert rises(table["MMD, CREPE"], NOISE)


@pytest.mark.parametrize("score", ["SI-SDR, dB", "chroma similarity"])
@pytest.mark.parametrize("damages", [NOISE, LOW_PASS], ids=["noise", "low-pass"])
def test_similarities_fall(table: Table, score: str, damages: tuple[str, ...]):
    assert rises(table[score], damages[::-1]), table[score]


def test_onsets_drown_in_noise(table: Table):
    assert rises(table["onset F-score"], NOISE[::-1])


def test_pitch_is_heard_where_it_should_be(table: Table):
    chroma = table["chroma similarity"]
    assert min(chroma, key=chroma.__getitem__) == "semitone up"
    pitches = table["Fréchet, CREPE"]
    assert max(pitches, key=pitches.__getitem__) == "semitone up"
    assert table["onset F-score"]["semitone up"] > 0.8  # the notes begin where they did


def test_a_shift_ruins_the_waveform_and_leaves_sets_and_onsets_alone(table: Table):
    assert table["SI-SDR, dB"]["20 ms late"] < 0.0
    assert table["onset F-score"]["20 ms late"] > 0.8  # within the tolerance of 50 ms
    for score in ("Fréchet, log-mel", "MMD, log-mel"):
        assert table[score]["20 ms late"] < 0.1 * table[score]["noise -40 dB"]
