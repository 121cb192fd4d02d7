"""A VAE of this project against RAVE: the same audio, wall-clock time and threads, no fewer latent values.

    MAESTRO_RAVE_VENV=/path/for/its/environment MAESTRO_RAVE_DATA=/path/to/maestro-v3.0.0 \
        pytest -m benchmark -s tests/benchmarks/test_rave.py

RAVE lives in a virtual environment of its own, made at MAESTRO_RAVE_VENV if there is none: acids-rave pins
old versions of scipy and Lightning, so it is installed without its requirements beside newer ones. What is
done there is said in `rave_training.py`. MAESTRO_RAVE_EXPERIMENT names the VAE's experiment (vae), whose
sample rate and channels all models have, MAESTRO_RAVE_CONFIGS RAVE's configurations ("v1 v2_small").
Each model trains for MAESTRO_RAVE_SECONDS (1200) of wall-clock time, evaluation not counted, with
MAESTRO_RAVE_THREADS (2) on the training split, and is scored MAESTRO_RAVE_MILESTONES (10) times on the way on
MAESTRO_RAVE_CLIPS clips (all, else spread evenly) of the validation and the test split with the metrics of
this project, decoded from the posterior's means and from a draw, which costs the KL term. The VAE's learning
rate follows that clock to its end.

MAESTRO_RAVE_CHECKPOINT is a VAE that was trained for that time before, and is only scored.
MAESTRO_RAVE_OUTPUT keeps the scores (JSON, CSV, a picture), the audio, and what RAVE has learnt: a
configuration found there is scored again, not trained again.
"""

import json
import math
import os
import subprocess
import time
import venv
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from reconstruction_scores import Clips, Evaluated, Row, scores, table, write
from timed_training import WallClock

from lightning_modules import load_module
from lightning_modules.checkpoints.file import read_checkpoint

VENV, DATA, CHECKPOINT = (os.environ.get(f"MAESTRO_RAVE_{name}") for name in ("VENV", "DATA", "CHECKPOINT"))
EXPERIMENT = os.environ.get("MAESTRO_RAVE_EXPERIMENT", "vae")
CONFIGS = os.environ.get("MAESTRO_RAVE_CONFIGS", "v1 v2_small").split()
SECONDS = float(os.environ.get("MAESTRO_RAVE_SECONDS", "1200"))
MILESTONES = int(os.environ.get("MAESTRO_RAVE_MILESTONES", "10"))
THREADS = int(os.environ.get("MAESTRO_RAVE_THREADS", "2"))
MAX_CLIPS = int(os.environ.get("MAESTRO_RAVE_CLIPS", "1000000"))
TIMINGS = 20
SPLITS = ("validation", "test")
REQUIREMENTS = [
    "numpy==1.26.4 scipy==1.12.0 torch==2.11.0 torchaudio==2.11.0 pytorch-lightning tensorboard librosa",
    "einops gin-config cached-conv GPUtil lmdb scikit-learn tqdm flask",
    "--no-deps acids-rave==2.3.1 udls",
]


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


class Milestones(WallClock):
    """Reconstructs the clips every so many seconds of training."""

    def __init__(self, clips: Clips, seconds: float) -> None:
        super().__init__(seconds)
        self.clips, self.due = clips, seconds / MILESTONES
        self.rows: list[Row] = []

    def pause(self, trainer, pl_module):
        if self.seconds < self.due and not trainer.should_stop:
            return
        self.due += self.limit / MILESTONES
        self.score(pl_module.eval(), self.seconds, trainer.global_step)
        pl_module.train()

    @torch.no_grad()
    def score(self, model, seconds: float, step: int) -> None:
        """Add the rows of a model after so many seconds and steps of training."""
        clips = self.clips.whole.split(1)
        draws = [model(clip) for clip in clips]
        self.outputs = {
            "mean": torch.cat([model.reconstruct(clip) for clip in clips]),
            "draw": torch.cat([draw.output for draw in draws]),
        }
        kl = torch.cat([draw.elbo.kl for draw in draws])
        self.rows += scores(EXPERIMENT, seconds, step, self.outputs, kl, self.clips)


def train_vae(train_for, source: list[str], clips: Clips) -> Evaluated:
    """The experiment, or a checkpoint of it."""
    milestones = Milestones(clips, SECONDS)
    if CHECKPOINT is None:
        model = train_for(*source, clock=milestones, experiment=EXPERIMENT).model
    else:
        model = load_module(CHECKPOINT).eval()
        assert (model.sample_rate, model.channels) == (clips.sample_rate, clips.channels)
        milestones.score(model, SECONDS, read_checkpoint(CHECKPOINT)["global_step"])
    clip = clips.whole[:1]

    @torch.no_grad()
    def seconds() -> float:
        start = time.perf_counter()
        model.reconstruct(clip)
        return time.perf_counter() - start

    parameters = sum(p.numel() for p in model.parameters())
    values = model.latent_size * model.sample_rate / model.latent_hop_samples
    return Evaluated(milestones.rows, milestones.outputs, parameters, values, seconds)


def train_rave(
    python: Path, config: str, audio: Path, clips: Clips, least_values: float, processes: ExitStack
) -> Evaluated:
    """One of RAVE's configurations, in its own environment; its process lives on in `processes`.

    Args:
        python: RAVE's interpreter.
        config: Name of the configuration.
        audio: Folder of `train.npz` and `clips.npy`.
        clips: The latter.
        least_values: Latent values per second that the model has at least.
        processes: What ends with the comparison.
    """
    folder = output_folder(audio) / config
    arguments = {
        "config": config,
        "audio": audio / "train.npz",
        "clips": audio / "clips.npy",
        "sample_rate": clips.sample_rate,
        "channels": clips.channels,
        "values_per_second": least_values,
        "seconds": SECONDS,
        "every": SECONDS / MILESTONES,
        "threads": THREADS,
        "output": folder,
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

    summary = json.loads((folder / "summary.json").read_text())
    rows: list[Row] = []
    for one in summary["milestones"]:
        arrays = np.load(folder / f"{one['step']}.npz")
        outputs = {latent: torch.from_numpy(array) for latent, array in arrays.items()}
        kl = torch.tensor(one["kl"])
        rows += scores(f"RAVE {config}", one["seconds"], one["step"], outputs, kl, clips)
    return Evaluated(rows, outputs, summary["parameters"], summary["values_per_second"], seconds)


def output_folder(otherwise: Path) -> Path:
    """Where results are kept."""
    folder = Path(os.environ.get("MAESTRO_RAVE_OUTPUT", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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


def test_rows_and_table():
    original = 0.1 * torch.randn(3, 2, 16000)
    clips = Clips({"validation": original[:1], "test": original[1:]}, 16000)
    swapped = torch.cat([original[:1], original[1:].flip(1)])
    kilobit = 1000 * math.log(2) * clips.seconds  # nats of a clip at 1 kbit/s
    outputs = {"mean": original, "draw": swapped}
    rows = scores("swap", 60.0, 7, outputs, kilobit * torch.tensor([1.0, 2.0, 4.0]), clips)
    assert [row.kilobits_per_second for row in rows] == [None, None, pytest.approx(1.0), pytest.approx(3.0)]
    assert [row.log_mel_distance for row in rows[:3]] == [0.0, 0.0, 0.0]
    assert rows[2].stereo_level_distance == 0.0 and rows[3].stereo_level_distance > 1.0
    result = Evaluated(rows, outputs, 1_000_000, 1000.0, lambda: 0.1)
    lines = table({"swap": result}, {"swap": 10.0}, clips)
    assert lines[-2].startswith("| swap, mean | 32 | 1 | 7 |  | 0.00 / 0.00 | ")
    assert lines[-1].startswith("| swap, draw | 32 | 1 | 7 | 1.00 / 3.00 | 0.00 / ")
    mono = Clips({"test": original[:, :1]}, 16000)
    (row,) = scores("mono", 60.0, 7, {"mean": original[:, :1]}, torch.zeros(3), mono)
    assert row.stereo_level_distance is None


@pytest.mark.benchmark
def test_against_rave(rave_python, start_vae, train_for, tmp_path, capsys):
    torch.set_num_threads(THREADS)
    source = ["--data.release", "v3.0.0", "--data.source", DATA]
    cli = start_vae(*source, experiment=EXPERIMENT)
    data = cli.datamodule
    data.prepare_data()
    data.setup(None)
    splits = {}
    for split, loader in zip(SPLITS, (data.val_dataloader(), data.test_dataloader()), strict=True):
        found = torch.cat([data.on_after_batch_transfer(batch, 0).waveform for batch in loader])
        splits[split] = found[:: -(-len(found) // MAX_CLIPS)]
    clips = Clips(splits, cli.model.sample_rate)
    np.save(tmp_path / "clips.npy", clips.whole)
    training = [row for row, one in enumerate(data.performances) if one.split == "train"]
    np.savez(tmp_path / "train.npz", *(np.asarray(data.cache.pcm(row)) for row in training))

    results = {EXPERIMENT: train_vae(train_for, source, clips)}
    with ExitStack() as processes:
        for config in CONFIGS:
            least = results[EXPERIMENT].values_per_second
            results[f"RAVE {config}"] = train_rave(rave_python, config, tmp_path, clips, least, processes)
        factors = real_time_factors(results, clips.seconds)
    folder = output_folder(tmp_path)
    write(results, factors, clips, folder)
    with capsys.disabled():
        print(f"\n{THREADS} threads, {SECONDS:.0f} s of training each, load {os.getloadavg()[2]:.1f}")
        print(f"curves in {folder}", *table(results, factors, clips), sep="\n")
