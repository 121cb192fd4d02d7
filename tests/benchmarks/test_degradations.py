"""What each score says of known damage: `pytest -m slow -s tests/benchmarks/test_degradations.py`.

Every score that claims to hear a kind of damage must order its levels; a shift in time must not move those
that compare whole sets.
"""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
from torch import Tensor

from datamodules import MaestroDataModule
from lightning_modules.audio.notes import HeardNotes
from lightning_modules.callbacks.comparison import frechet_of, kernel_of
from lightning_modules.metrics.embeddings import CrepeEmbedding, LogMelStatistics, TranskunEmbedding
from lightning_modules.metrics.note_scores import (
    note_f_score,
    notes_per_second,
    polyphony,
    silent_share,
    struck_within,
    velocity_correlation,
)
from lightning_modules.metrics.onsets import detect_onsets, onset_f_score
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)
from lightning_modules.metrics.transcription import NoteListener

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


def piano_noise(clip: np.ndarray) -> np.ndarray:
    """Noise with the clip's spectrum and loudness, blurred over 0.5 s and 500 Hz: colour, but no notes.

    It is what samples of a VAE with a simple prior are.
    """
    window = 1024
    _, _, spectrum = scipy.signal.stft(clip, RATE, nperseg=window)
    blurred = scipy.ndimage.uniform_filter(np.abs(spectrum) ** 2, (32, 16)) ** 0.5
    white = np.random.default_rng(0).standard_normal(len(clip))
    _, _, carrier = scipy.signal.stft(white, RATE, nperseg=window)
    _, shaped = scipy.signal.istft(blurred * carrier / np.abs(carrier).mean(), RATE, nperseg=window)
    return shaped[: len(clip)] * np.sqrt(np.mean(clip**2) / np.mean(shaped**2))


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
    "piano-shaped noise": piano_noise,
}
NOISE = ("noise -60 dB", "noise -40 dB", "noise -20 dB")
LOW_PASS = ("low-pass 6 kHz", "low-pass 3 kHz", "low-pass 1 kHz")
Table = dict[str, dict[str, float]]
NUM_LISTENED = 4
LISTENED_SECONDS = 7.5
"""Two clips of that length go into a segment of the transcriber, which takes most of the time."""


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
    }
    struck = [detect_onsets(clip, RATE) for clip in real.mean(1).numpy()]
    embeddings = {"log-mel": LogMelStatistics(), "CREPE": CrepeEmbedding()}
    originals = {name: embedding(real, RATE) for name, embedding in embeddings.items()}
    found: Table = {}
    for damage, apply in DAMAGES.items():
        damaged = torch.from_numpy(np.stack([[apply(clip[0].astype(np.float64))] for clip in real.numpy()]))
        damaged = damaged.float()
        for name, metric in paired.items():
            found.setdefault(name, {})[damage] = metric.values(damaged, real).mean().item()
        heard = [detect_onsets(clip, RATE) for clip in damaged.mean(1).numpy()]
        onsets = [onset_f_score(*pair) for pair in zip(struck, heard, strict=True)]
        found.setdefault("onset F-score", {})[damage] = float(np.mean(onsets))
        for name, embedding in embeddings.items():
            vectors = embedding(damaged, RATE)
            found.setdefault(f"Fréchet, {name}", {})[damage] = frechet_of(vectors, originals[name]).item()
            found.setdefault(f"MMD, {name}", {})[damage] = kernel_of(vectors, originals[name]).item()
    print("\n" + markdown(found))
    return found


@pytest.fixture(scope="module")
def notes(transkun) -> Table:
    """The scores that hear notes, by Transkun; the undamaged clips are the first column."""
    clips, played = clips_and_notes()
    found = note_table(clips, played, NoteListener(), TranskunEmbedding())
    print("\n" + markdown(found))
    return found


def clips_and_notes() -> tuple[Tensor, list[HeardNotes]]:
    """Clips (B, 1, T) of the test split, spread over it, and the notes struck in them."""
    data = MaestroDataModule(eval_clip_seconds=LISTENED_SECONDS, progress=False)
    data.prepare_data()
    data.setup()
    batches = [batch.to_batch() for batch in data.test_dataloader()]
    clips, rows, starts = (torch.cat([batch[column] for batch in batches]) for column in range(3))
    chosen = np.linspace(0, len(clips) - 1, NUM_LISTENED).round().astype(int).tolist()
    length = clips.shape[-1]
    played = [data.notes(int(rows[index]), int(starts[index]), length) for index in chosen]
    return clips[chosen], [struck_within(each, LISTENED_SECONDS) for each in played if each is not None]


def note_table(
    clips: Tensor,
    played: list[HeardNotes],
    listener: NoteListener,
    embedding: TranskunEmbedding | None = None,
) -> Table:
    found: Table = {}
    original = None if embedding is None else embedding(clips, RATE)
    for damage, apply in {"none": lambda clip: clip, **DAMAGES}.items():
        damaged = torch.from_numpy(np.stack([[apply(clip[0].astype(np.float64))] for clip in clips.numpy()]))
        heard = listener(damaged.float(), RATE)
        pairs = list(zip(played, heard, strict=True))
        row = {
            "notes, F-score": np.mean([note_f_score(*pair) for pair in pairs]),
            "notes with offsets, F-score": np.mean(
                [note_f_score(*pair, with_offsets=True) for pair in pairs]
            ),
            "velocity correlation": np.mean([velocity_correlation(*pair) for pair in pairs]),
            "notes per second": np.mean([notes_per_second(each, LISTENED_SECONDS) for each in heard]),
            "polyphony": np.mean([polyphony(each, LISTENED_SECONDS) for each in heard]),
            "share of time without notes": np.mean([silent_share(each, LISTENED_SECONDS) for each in heard]),
        }
        if embedding is not None and original is not None:
            row["Fréchet, Transkun"] = frechet_of(embedding(damaged.float(), RATE), original).item()
        for name, value in row.items():
            found.setdefault(name, {})[damage] = float(value)
    return found


def test_noise_shaped_like_piano_has_no_notes(notes: Table, table: Table):
    assert notes["notes per second"]["none"] > 2.0
    assert notes["notes per second"]["piano-shaped noise"] < 0.05 * notes["notes per second"]["none"]
    assert notes["share of time without notes"]["piano-shaped noise"] > 0.95
    assert notes["notes, F-score"]["piano-shaped noise"] < 0.05
    # which distances of colour do not tell: it is nearer than piano without its treble
    assert table["Fréchet, log-mel"]["piano-shaped noise"] < table["Fréchet, log-mel"]["low-pass 1 kHz"]


def test_notes_are_heard_through_damage_that_leaves_them(notes: Table):
    score = notes["notes, F-score"]
    assert score["none"] > 0.95
    assert min(score[damage] for damage in ("noise -60 dB", "low-pass 6 kHz", "8 bits")) > 0.9
    assert score["semitone up"] < 0.2
    assert score["noise -20 dB"] < min(score["noise -40 dB"], score["noise -60 dB"]) - 0.1


def markdown(found: Table) -> str:
    """The table of the README."""
    damages = list(next(iter(found.values())))
    short = [damage.replace("noise ", "noise<br>").replace("low-pass ", "low-pass<br>") for damage in damages]
    lines = ["| score | " + " | ".join(short) + " |", "|---" * (len(damages) + 1) + "|"]
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
    notes_left = pitches.keys() - {"piano-shaped noise"}
    assert max(notes_left, key=pitches.__getitem__) == "semitone up"
    assert pitches["piano-shaped noise"] > pitches["semitone up"]
    assert table["onset F-score"]["semitone up"] > 0.8  # the notes begin where they did


def test_a_shift_ruins_the_waveform_and_leaves_sets_and_onsets_alone(table: Table):
    assert table["SI-SDR, dB"]["20 ms late"] < 0.0
    assert table["onset F-score"]["20 ms late"] > 0.8  # within the tolerance of 50 ms
    for score in ("Fréchet, log-mel", "MMD, log-mel"):
        assert table[score]["20 ms late"] < 0.1 * table[score]["noise -40 dB"]
