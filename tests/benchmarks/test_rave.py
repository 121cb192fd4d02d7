"""The default VAE against RAVE v1 and v2-small: the same audio, wall-clock time and two threads.

    MAESTRO_RAVE_VENV=/path/for/its/environment MAESTRO_RAVE_DATA=/path/to/maestro-v3.0.0 \
        pytest -m benchmark -s tests/benchmarks/test_rave.py

RAVE lives in a virtual environment of its own, made at MAESTRO_RAVE_VENV if there is none: acids-rave pins
old versions of scipy and Lightning, so it is installed without its requirements beside newer ones. What is
done there is said in `rave_training.py`. Each model trains for MAESTRO_RAVE_SECONDS (1200) of
wall-clock time, evaluation not counted, on the training split, and is scored on the way on the validation and
the test split with the metrics of this project. MAESTRO_RAVE_OUTPUT keeps the scores (JSON,
CSV, a picture) and the audio.
"""

import csv
import json
import os
import subprocess
import time
import venv
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from timed_training import WallClock

from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)

pytestmark = pytest.mark.benchmark

VENV, DATA = (os.environ.get(f"MAESTRO_RAVE_{name}") for name in ("VENV", "DATA"))
SECONDS = float(os.environ.get("MAESTRO_RAVE_SECONDS", "1200"))
MILESTONES = int(os.environ.get("MAESTRO_RAVE_MILESTONES", "10"))
RATE, THREADS, TIMINGS = 16000, 2, 20
SPLITS = ("validation", "test")
REQUIREMENTS = [
    "numpy==1.26.4 scipy==1.12.0 torch==2.11.0 torchaudio==2.11.0 pytorch-lightning tensorboard librosa",
    "einops gin-config cached-conv GPUtil lmdb scikit-learn tqdm flask",
    "--no-deps acids-rave==2.3.1 udls",
]


class Row(NamedTuple):
    """Scores of one model at one time on one split."""

    model: str
    seconds: float
    step: int
    split: str
    multi_scale_spectral_distance: float
    log_mel_distance: float
    si_sdr: float


class Evaluated(NamedTuple):
    """What one model did."""

    rows: list[Row]
    output: torch.Tensor
    """Reconstructions (B, C, T) at the end, the splits one after the other."""
    parameters: int
    seconds: Callable[[], float]
    """Encodes and decodes the first clip, and says how long that took."""


@pytest.fixture(scope="module")
def rave_python() -> Path:
    """The interpreter of RAVE's environment, which is made if there is none."""
    if VENV is None or DATA is None:
        pytest.skip("set MAESTRO_RAVE_VENV and MAESTRO_RAVE_DATA")
    python = Path(VENV) / "bin/python"
    if not python.exists():
        venv.create(VENV, with_pip=True)
        for packages in REQUIREMENTS:
            subprocess.run([python, "-m", "pip", "install", "-q", *packages.split()], check=True)
    return python


def scores(model: str, seconds: float, step: int, output: torch.Tensor, clips: dict[str, torch.Tensor]):
    """One row for each split; `output` (B, C, T) holds the splits one after the other."""
    rows = []
    for split, part in zip(clips, output.split([len(one) for one in clips.values()]), strict=True):
        metrics = MultiScaleSpectralDistance(), LogMelDistance(RATE), ScaleInvariantSDR()
        values = [metric(part, clips[split]).item() for metric in metrics]
        rows.append(Row(model, round(seconds, 1), step, split, *values))
    return rows


class Milestones(WallClock):
    """Reconstructs the clips every so many seconds of training."""

    def __init__(self, clips: dict[str, torch.Tensor], seconds: float) -> None:
        super().__init__(seconds)
        self.clips, self.due = clips, seconds / MILESTONES
        self.rows: list[Row] = []

    @torch.no_grad()
    def pause(self, trainer, pl_module):
        if self.seconds < self.due and not trainer.should_stop:
            return
        self.due += self.limit / MILESTONES
        pl_module.eval()
        self.output = torch.cat(
            [pl_module.reconstruct(clip) for clip in torch.cat([*self.clips.values()]).split(1)]
        )
        pl_module.train()
        self.rows += scores("VAE", self.seconds, trainer.global_step, self.output, self.clips)


def train_vae(train_for, source: list[str], clips: dict[str, torch.Tensor]) -> Evaluated:
    """The default experiment."""
    milestones = Milestones(clips, SECONDS)
    model = train_for(*source, clock=milestones).model
    clip = clips[SPLITS[0]][:1]

    @torch.no_grad()
    def seconds() -> float:
        start = time.perf_counter()
        model.reconstruct(clip)
        return time.perf_counter() - start

    parameters = sum(p.numel() for p in model.parameters())
    return Evaluated(milestones.rows, milestones.output, parameters, seconds)


def train_rave(
    python: Path, config: str, folder: Path, clips: dict[str, torch.Tensor], processes: ExitStack
) -> Evaluated:
    """One of RAVE's configurations, in its own environment; its process lives on in `processes`."""
    arguments = {
        "config": config,
        "audio": folder / "train.npz",
        "clips": folder / "clips.npy",
        "seconds": SECONDS,
        "every": SECONDS / MILESTONES,
        "threads": THREADS,
        "output": folder / config,
    }
    program = Path(__file__).with_name("rave_training.py")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    flags = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    process = processes.enter_context(
        subprocess.Popen([python, program, *flags], env=environment, text=True, **pipes)
    )
    answer(process, "trained")

    def seconds() -> float:
        process.stdin.write("\n")
        process.stdin.flush()
        return float(answer(process, "seconds"))

    summary = json.loads((folder / config / "summary.json").read_text())
    rows: list[Row] = []
    for one in summary["milestones"]:
        output = torch.from_numpy(np.load(folder / config / f"{one['step']}.npy"))
        rows += scores(f"RAVE {config}", one["seconds"], one["step"], output, clips)
    return Evaluated(rows, output, summary["parameters"], seconds)


def answer(process: subprocess.Popen, word: str) -> str:
    """What follows `word` in the next line that begins with it."""
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise RuntimeError(f"{process.args} ended with {process.wait()}")


def real_time_factors(results: dict[str, Evaluated], seconds: float) -> dict[str, float]:
    """Seconds of audio encoded and decoded per second: best of many, by turns, as a machine is not steady.

    Args:
        results: Trained models.
        seconds: Length of the clip that they time.
    """
    times = [[result.seconds() for result in results.values()] for _ in range(TIMINGS)]
    return {name: seconds / min(ones) for name, ones in zip(results, zip(*times, strict=True), strict=True)}


def write(results: dict[str, Evaluated], factors: dict[str, float], folder: Path) -> None:
    """scores.json, scores.csv, curves.png, and a WAV of each model with all clips in a row."""
    rows = [row._asdict() for result in results.values() for row in result.rows]
    models = {
        name: {"parameters": result.parameters, "real_time_factor": factors[name]}
        for name, result in results.items()
    }
    (folder / "scores.json").write_text(json.dumps({"models": models, "scores": rows}, indent=2))
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, Row._fields)
        writer.writeheader()
        writer.writerows(rows)
    draw(results, folder / "curves.png")
    for name, result in results.items():
        write_wav(folder / f"{name}.wav", result.output)


def write_wav(path: Path, clips: torch.Tensor) -> None:
    """Clips (B, C, T) one after the other."""
    soundfile.write(path, clips.movedim(1, 0).flatten(1).T.numpy(), RATE)


def draw(results: dict[str, Evaluated], path: Path) -> None:
    """Each score over training time, both splits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.5), layout="constrained")
    labels = {
        "multi_scale_spectral_distance": "multi-scale spectral distance",
        "log_mel_distance": "log-mel distance (dB)",
        "si_sdr": "SI-SDR (dB)",
    }
    for axes, (field, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        for colour, (name, result) in enumerate(results.items()):
            for split, style in zip(SPLITS, ("--", "-"), strict=True):
                rows = [row for row in result.rows if row.split == split]
                values = [row.seconds for row in rows], [getattr(row, field) for row in rows]
                axes.plot(*values, style, color=f"C{colour}", label=f"{name}, {split}")
        axes.set_xlabel("training (s)")
        axes.set_title(label, fontsize=10)
    axes.legend(fontsize=7, loc="center right")
    figure.savefig(path, dpi=90)


def test_against_rave(rave_python, start_vae, train_for, tmp_path, capsys):
    torch.set_num_threads(THREADS)
    source = ["--data.release", "v3.0.0", "--data.source", DATA, "--data.sample_rate", str(RATE)]
    data = start_vae(*source).datamodule
    data.prepare_data()
    data.setup(None)
    loaders = zip(SPLITS, (data.val_dataloader(), data.test_dataloader()), strict=True)
    clips = {
        split: torch.cat([data.on_after_batch_transfer(batch, 0).waveform for batch in loader])
        for split, loader in loaders
    }
    np.save(tmp_path / "clips.npy", torch.cat([*clips.values()]))
    training = [row for row, one in enumerate(data.performances) if one.split == "train"]
    np.savez(tmp_path / "train.npz", *(np.asarray(data.cache.pcm(row)).reshape(-1) for row in training))

    results = {"VAE": train_vae(train_for, source, clips)}
    with ExitStack() as processes:
        for config in ("v1", "v2_small"):
            results[f"RAVE {config}"] = train_rave(rave_python, config, tmp_path, clips, processes)
        factors = real_time_factors(results, clips[SPLITS[0]].shape[-1] / RATE)
    folder = Path(os.environ.get("MAESTRO_RAVE_OUTPUT", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    write(results, factors, folder)
    write_wav(folder / "original.wav", torch.cat([*clips.values()]))
    with capsys.disabled():
        print(f"\n{THREADS} threads, {SECONDS:.0f} s of training each; curves in {folder}")
        print(f"{'':14} {'M par.':>7} {'speed':>7}  split       step  spectral  log-mel   SI-SDR")
        for name, result in results.items():
            for row in result.rows[-len(SPLITS) :]:
                size, speed = result.parameters / 1e6, factors[name]
                values = (
                    f"{row.multi_scale_spectral_distance:8.2f} {row.log_mel_distance:8.2f} {row.si_sdr:8.2f}"
                )
                print(f"{name:14} {size:7.2f} {speed:6.0f}x  {row.split:10} {row.step:5d}  {values}")
