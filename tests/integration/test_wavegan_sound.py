"""What the default WaveGAN experiment sounds like, beside an untrained generator and the real clips.

Trains `experiments/wavegan.yaml` as a user would, or takes the checkpoint of MAESTRO_WAVEGAN_CHECKPOINT:

    pytest -m slow tests/integration/test_wavegan_sound.py -s

MAESTRO_PICTURES names a folder for the README's pictures of that run.
"""

import csv
import os
import time
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from datamodules import MaestroDataModule
from lightning_modules import load_module
from lightning_modules.audio.framing import cut_into_clips
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import instantiate
from lightning_modules.checkpoints.file import read_checkpoint
from lightning_modules.cli import main
from lightning_modules.metrics.frechet import Diversity, FrechetLogMel
from lightning_modules.reports.figures import spectrogram_figure

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of the experiment."""
    if given := os.environ.get("MAESTRO_WAVEGAN_CHECKPOINT"):
        return Path(given)
    runs, start = tmp_path_factory.mktemp("runs"), time.monotonic()
    main(["fit", "--config", str(ROOT / "experiments/wavegan.yaml"), "--runs_dir", str(runs)])
    print(f"\ntrained in {time.monotonic() - start:.0f} s")
    return next(runs.glob("wavegan/*/checkpoints/best.ckpt"))


@pytest.fixture(scope="module")
def real_clips() -> torch.Tensor:
    """The validation and test splits in clips of one second, (B, C, T)."""
    data = MaestroDataModule()
    data.prepare_data()
    data.setup(None)
    batches = [*data.val_dataloader(), *data.test_dataloader()]
    waveforms = [data.on_after_batch_transfer(batch, 0).waveform for batch in batches]
    return torch.cat([cut_into_clips(waveform, 16_384) for waveform in waveforms])


@torch.no_grad()
def scores(model: torch.nn.Module, real: torch.Tensor) -> dict[str, float]:
    """Of as many samples as there are real clips."""
    torch.manual_seed(0)
    samples = model.sample(len(real))
    metrics = {
        "Fréchet distance (dB²)": FrechetLogMel(16_000),
        "Fréchet distance, floor -100 dB": FrechetLogMel(16_000, floor_db=-100.0),
        "diversity": Diversity(16_000),
    }
    return {name: metric(samples, real).item() for name, metric in metrics.items()}


def test_samples_are_past_noise_and_differ(checkpoint, real_clips, capsys):
    torch.manual_seed(1)
    untrained = instantiate(
        read_checkpoint(checkpoint)["generative_module"]["module"], GenerativeModule
    ).eval()
    table = {
        "untrained": scores(untrained, real_clips),
        "trained": scores(load_module(checkpoint), real_clips),
    }
    with capsys.disabled():
        print()
        for name, row in table.items():
            print(f"{name:10}", "  ".join(f"{metric} {value:.2f}" for metric, value in row.items()))
    distance = "Fréchet distance (dB²)"
    assert table["trained"][distance] <= 0.5 * table["untrained"][distance]
    assert table["trained"]["diversity"] >= 0.3


wants_pictures = pytest.mark.skipif(
    "MAESTRO_PICTURES" not in os.environ, reason="MAESTRO_PICTURES names no folder"
)


@wants_pictures
def test_picture_of_samples_beside_real_clips(checkpoint, real_clips):
    torch.manual_seed(0)
    with torch.no_grad():
        samples = load_module(checkpoint).sample(8)
    chosen = real_clips[torch.linspace(0, len(real_clips) - 1, 8).long()]
    rows = {"eight clips of unseen pieces": chosen, "eight samples": samples}
    end_to_end = {title: clips.transpose(0, 1).flatten(1) for title, clips in rows.items()}
    picture = Path(os.environ["MAESTRO_PICTURES"], "wavegan_samples.png")
    spectrogram_figure(end_to_end, 16_000).savefig(picture)
    Image.open(picture).quantize(48).save(picture, optimize=True)  # a third of the bytes
    assert 10_000 < picture.stat().st_size < 150_000


@wants_pictures
def test_picture_of_the_curves(checkpoint):
    with (checkpoint.parents[1] / "metrics/version_0/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def curve(name: str) -> tuple[list[int], list[float]]:
        logged = [row for row in rows if row[name]]
        return [int(row["step"]) + 1 for row in logged], [float(row[name]) for row in logged]

    panels = {
        "Fréchet distance of samples (dB²)": curve("val/frechet_log_mel"),
        "critic's accuracy in training": curve("train/critic_accuracy"),
        "F's error (1 is 50 dB)": curve("train/converter"),
    }
    picture = Path(os.environ["MAESTRO_PICTURES"], "wavegan_curves.png")
    figure = Figure(figsize=(4.0 * len(panels), 2.4), dpi=100, layout="constrained")
    for axes, (title, (steps, values)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.plot(steps, values, linewidth=1.2, marker="." if len(steps) < 30 else None)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(picture)
    assert picture.stat().st_size > 10_000
