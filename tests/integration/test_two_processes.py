"""Two processes on one machine train as one process does on the same global batch, and write like one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mido
import pytest
import torch

from lightning_modules.runs.metrics import read_rows

PROGRAM = """
import functools, sys, warnings
import lightning.pytorch as pl
import torch
import tiny_training
from lightning_modules.callbacks.ema import EMA
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.schedules.updates import AdaptiveUpdates, FixedUpdates
from pathlib import Path

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
kind, devices, precision, source, folder = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]


class Record(pl.Callback):
    # the mean over processes of each step's losses, and the clips that were seen
    def __init__(self):
        self.losses, self.clips = [], []

    def on_train_start(self, trainer, pl_module):
        torch.manual_seed(1)  # Lightning seeds once more where it starts several processes

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        names = sorted(name for name in trainer.callback_metrics if name.endswith("loss"))
        losses = [trainer.strategy.reduce(trainer.callback_metrics[name], reduce_op="mean") for name in names]
        self.losses.append([float(loss) for loss in losses])
        self.clips.append(list(zip(batch.performance.tolist(), batch.start_sample.tolist())))


# not Adam, which makes a whole step of a gradient that is rounding noise; clipping is at work from the start
sgd = functools.partial(torch.optim.SGD, lr=1e-3)
pl.seed_everything(0, verbose=False)
if kind == "vae":
    model, clipping, average = tiny_training.make_vae(sgd), {"gradient_clip_val": 1.0}, [EMA(0.9)]
    # not near silence, where the logarithms of the spectral loss make much of rounding
    model.coarse_generator.output.reset_parameters()
elif kind == "player":
    model, clipping, average = tiny_training.make_player(sgd), {}, []
else:
    schedule = FixedUpdates(2) if kind == "wavegan-fixed" else AdaptiveUpdates(0.9, 0.6, 2, 2)
    model, clipping = tiny_training.make_wavegan(sgd, schedule, clip_norm=1.0), {}
    average = []  # it has its own
record, root = Record(), Path(folder)
data = tiny_training.make_data(source, root.parent / "cache", batch_size=8 // devices, eval_batch_size=2)
options = {"strategy": "ddp"} if devices > 1 else {}
trainer = tiny_training.make_trainer(
    root, record, *average, Evaluation(), tiny_training.ExactResume(),
    tiny_training.RunCheckpoint(monitor=None), max_steps=20, val_check_interval=10, limit_val_batches=None,
    devices=devices, precision=precision, num_sanity_val_steps=0, **options, **clipping,
)
trainer.fit(model, datamodule=data)
file = root.parent / f"{root.name}-{trainer.global_rank}.pt"
torch.save({"losses": record.losses, "clips": record.clips}, file)
"""


def train(folder: Path, source: Path, kind: str, devices: int, precision: str) -> dict[str, Any]:
    program, root = folder / "train.py", folder / f"{devices}-devices"
    program.write_text(PROGRAM)
    here = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{here / 'toys'}:{here.parent}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, program, kind, str(devices), precision, source, root]
    run = subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    ranks = [torch.load(folder / f"{root.name}-{rank}.pt", weights_only=True) for rank in range(devices)]
    rows = read_rows(root / "metrics/version_0/metrics.csv")[1]
    return {
        "losses": torch.tensor(ranks[0]["losses"]),
        "clips": [rank["clips"] for rank in ranks],
        "rows": rows,
        "validations": [
            row for row in rows if row.get("val/critic_accuracy") or row.get("val/elbo_nats_per_second")
        ],
        "files": sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()),
        "checkpoint": torch.load(root / "checkpoints/last.ckpt", weights_only=True),
    }


def write_notes(release: Path) -> None:
    """Beside each recording, a note every quarter of a second for its player."""
    for recording in release.rglob("*.wav"):
        track = mido.MidiTrack()
        for number in range(16):  # at 120 beats of 480 ticks a minute
            pitch = 60 + number * 5 % 13
            track.append(mido.Message("note_on", note=pitch, velocity=40 + 5 * number))
            track.append(mido.Message("note_off", note=pitch, time=240))
        mido.MidiFile(tracks=[track]).save(recording.with_suffix(".midi"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "precision", "tolerance"),
    [
        ("vae", "32-true", 1e-4),
        ("wavegan", "32-true", 1e-4),
        ("wavegan-fixed", "32-true", 1e-4),
        ("player", "32-true", 1e-4),
        ("player", "bf16-mixed", 0.02),
        ("vae", "bf16-mixed", 0.02),
    ],
)
def test_two_processes_are_one(
    tiny_release: Path, tmp_path: Path, kind: str, precision: str, tolerance: float
) -> None:
    write_notes(tiny_release)
    one, two = (train(tmp_path, tiny_release, kind, devices, precision) for devices in (1, 2))
    assert one["losses"].shape[0] == 20
    difference = ((two["losses"] - one["losses"]).abs() / one["losses"].abs().clamp_min(1e-3)).max()
    print(f"{kind} {precision}: largest relative difference of a loss in 20 steps {difference:.1e}")
    torch.testing.assert_close(two["losses"], one["losses"], rtol=tolerance, atol=tolerance * 1e-1)
    # each step's clips are those of one process, each once
    both = [sorted(a + b) for a, b in zip(*two["clips"], strict=True)]
    assert both == [sorted(step) for step in one["clips"][0]]
    assert len({clip for step in both[:3] for clip in step}) == 24, "none twice in an epoch"
    # one process writes, and the same files
    assert two["files"] == one["files"]
    assert len(two["rows"]) == len(one["rows"]) == 22
    if kind == "vae" and precision == "32-true":
        for a, b in zip(one["validations"], two["validations"], strict=True):
            # 9 clips in batches of 2 on each of two devices: uneven; reconstruction draws no random numbers
            for name in ("val/log_mel_distance", "val/multi_scale_spectral_distance", "val/si_sdr"):
                assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-4), name
            # this draws a latent for each clip
            for name in ("val/elbo_nats_per_second", "val/kl_nats_per_second"):
                assert float(b[name]) == pytest.approx(float(a[name]), rel=0.01), name
    if precision == "32-true":
        for name, value in one["checkpoint"]["state_dict"].items():
            torch.testing.assert_close(
                two["checkpoint"]["state_dict"][name], value, rtol=1e-3, atol=1e-4, msg=name
            )
    assert len(two["checkpoint"]["random_state"]) == 2
