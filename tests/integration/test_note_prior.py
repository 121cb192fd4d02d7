"""The note prior goes through everything that the other models go through, by the same code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_models import make_player, save

from lightning_modules.cli import main
from lightning_modules.runs.metrics import read_rows

ROOT = Path(__file__).parents[2]
SMALL = [
    "--model.network.width=96",
    "--model.network.layers=1",
    "--data.window_tokens=32",
    "--data.windows_per_epoch=24",  # an epoch of three batches: runs stop and go on inside one
    "--data.progress=false",
    "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=1",
    "--trainer.val_check_interval=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("note_prior")


def options(folder: Path, run_id: str, steps: int, *more: str) -> list[str]:
    config = f"--config={ROOT}/experiments/note_prior.yaml"
    places = [f"--runs_dir={folder}/runs", f"--data.cache_dir={folder}/cache", f"--run_id={run_id}"]
    return ["fit", config, *places, *SMALL, f"--trainer.max_steps={steps}", *more]


def weights(folder: Path, run_id: str) -> dict[str, torch.Tensor]:
    path = folder / f"runs/note_prior/{run_id}/checkpoints/last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def straight(folder: Path) -> Path:
    """Six steps without a stop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        main(options(folder, "straight", 6))
    return folder / "runs/note_prior/straight"


def test_it_is_tested_and_composes_and_is_heard(straight: Path, tmp_path: Path) -> None:
    main(["test", "--ckpt_path", str(straight / "checkpoints/best.ckpt")])
    (file,) = straight.glob("test/metrics/*/metrics.csv")
    _, rows = read_rows(file)
    assert 10 < float(rows[-1]["test/nats_per_note"]) < 40
    player = save(make_player(), tmp_path / "player.ckpt")
    main(["compose", str(straight), "--seconds", "20", "--render", str(player), "--device", "cpu"])
    names = {path.name for path in (straight / "compose").iterdir()}
    assert names == {"piece.mid", "piece.wav", "piece.png", "manifest.json"}


def test_a_continued_run_is_the_run_without_a_stop(straight: Path, folder: Path) -> None:
    schedule = ["--model.lr_scheduler.total_steps=6"]
    main(options(folder, "stopped", 4, *schedule))
    last = folder / "runs/note_prior/stopped/checkpoints/last.ckpt"
    main(["fit", "--ckpt_path", str(last), "--trainer.max_steps=6"])
    for name, weight in weights(folder, "straight").items():
        assert torch.equal(weight, weights(folder, "stopped")[name]), name


@pytest.mark.slow
def test_bf16(folder: Path) -> None:
    main(options(folder, "bf16", 2, "--trainer.precision=bf16-mixed"))
    assert all(weight.isfinite().all() for weight in weights(folder, "bf16").values())


@pytest.mark.slow
def test_two_processes_train_as_one_with_their_batches(straight: Path, folder: Path) -> None:
    more = [
        "--trainer.devices=2",
        "--trainer.strategy=ddp",
        "--data.batch_size=4",
        "--model.network.dropout=0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    command = [sys.executable, "-m", "lightning_modules", *options(folder, "two", 4, *more)]
    subprocess.run(command, env=environment, check=True, cwd=folder)
    main(options(folder, "one", 4, "--data.batch_size=8", "--model.network.dropout=0"))
    for name, weight in weights(folder, "one").items():
        torch.testing.assert_close(weights(folder, "two")[name], weight, rtol=1e-3, atol=1e-4)
