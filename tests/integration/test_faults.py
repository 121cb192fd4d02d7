"""What a run does when something breaks: nothing is lost, and the user is told what to do."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from tiny_training import make_data, train

from datamodules.errors import CacheError
from lightning_modules.cli import main
from lightning_modules.errors import CheckpointError
from lightning_modules.runs.metrics import read_rows

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]


class At(pl.Callback):
    """Does something once, at the beginning of a step or of the first batch of a validation."""

    def __init__(self, step: int, action: Callable[[pl.Trainer], object], validation: bool = False) -> None:
        self.step, self.action, self.validation = step, action, validation
        self.done = False

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        self._act(trainer, not self.validation)

    def on_validation_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        self._act(trainer, self.validation)

    def _act(self, trainer: pl.Trainer, here: bool) -> None:
        if here and trainer.global_step == self.step and not self.done:
            self.done = True
            self.action(trainer)


def receive(*numbers: signal.Signals) -> Callable[[pl.Trainer], None]:
    def action(trainer: pl.Trainer) -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return action


def last(root: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(root / "checkpoints" / f"{name}.ckpt", weights_only=True)


def newest_step(root: Path) -> int:
    return max(torch.load(path, weights_only=True)["global_step"] for path in root.glob("checkpoints/*.ckpt"))


def steps(root: Path) -> list[int]:
    files = sorted(root.glob("metrics/version_*/metrics.csv"))
    return [
        int(row["step"]) for file in files for row in read_rows(file)[1] if not row.get("val/critic_accuracy")
    ]


def assert_same_end(root: Path, expected: Path) -> None:
    content, wanted = last(root), last(expected)
    assert content["global_step"] == wanted["global_step"] == 12
    for name, value in wanted["state_dict"].items():
        assert torch.equal(content["state_dict"][name], value), name
    assert torch.equal(content["random_state"][0]["torch"], wanted["random_state"][0]["torch"])
    assert steps(root) == steps(expected)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, make_release: Callable, recording_class: type) -> Path:
    splits = ("train", "validation")
    recordings = [recording_class(split, split=split, seconds=2.0, rate=16_000) for split in splits]
    return make_release(tmp_path_factory.mktemp("release") / "maestro-v3.0.0", recordings)


@pytest.fixture(scope="module")
def run(release: Path) -> Callable[..., pl.Trainer]:
    """Trains a tiny WaveGAN for 12 steps in a folder, or goes on there."""

    def train_in(root: Path, *callbacks: pl.Callback, cache: str = "cache", workers: int = 0) -> pl.Trainer:
        data = make_data(release, release.parent / cache, workers, splits=["train", "validation"])
        return train("wavegan", root, data, *callbacks, max_steps=12)[1]

    return train_in


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., pl.Trainer]) -> Path:
    """The run that nothing happened to."""
    root = tmp_path_factory.mktemp("runs") / "experiment" / "expected"
    run(root)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "experiment" / "run"


@pytest.mark.parametrize(("step", "validation"), [(5, True), (7, False), (6, False)])
def test_sigterm_stops_between_two_steps(
    root: Path, run: Callable, expected: Path, step: int, validation: bool
) -> None:
    """In a validation, at an epoch's last step, and in the middle of an epoch."""
    with pytest.raises(SIGTERMException):
        run(root, At(step, receive(signal.SIGTERM), validation))
    assert newest_step(root) == step + (not validation)
    run(root)
    assert_same_end(root, expected)


def test_first_control_c_saves(root: Path, run: Callable, expected: Path) -> None:
    with pytest.raises(SIGTERMException):
        run(root, At(7, receive(signal.SIGINT)))
    assert newest_step(root) == 8
    run(root)
    assert_same_end(root, expected)


def test_second_control_c_stops_at_once(root: Path, run: Callable, expected: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as stop:
        run(root, At(7, receive(signal.SIGINT, signal.SIGINT)))
    assert stop.value.code == 1
    signal.signal(signal.SIGINT, handler)  # Lightning leaves Ctrl-C switched off
    assert newest_step(root) == 7
    run(root)
    assert_same_end(root, expected)


def test_killed_worker(root: Path, run: Callable, expected: Path) -> None:
    def kill_worker(trainer: pl.Trainer) -> None:
        (loader,) = trainer.fit_loop._combined_loader.flattened
        os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)
        for _ in range(1000):
            signal.sigtimedwait([], 0.01)  # until torch's handler says so

    with pytest.raises(RuntimeError, match=r"DataLoader worker .* is killed by signal: Killed"):
        run(root, At(4, kill_worker), workers=2)
    assert newest_step(root) == 4
    run(root, workers=2)
    assert_same_end(root, expected)


def test_full_disk_costs_nothing_but_checkpoints(
    root: Path, run: Callable, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several writings fail; the run goes on, and its last checkpoint and its figures are complete."""
    save, failures = torch.save, []

    def no_space(content: object, path: Path) -> None:
        if 3 <= content["global_step"] <= 6:  # type: ignore[index]
            failures.append(path)
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        save(content, path)

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.warns(UserWarning, match=r"Cannot write .* \(No space left on device\); training goes on"):
        run(root)
    assert len(failures) >= 3
    assert_same_end(root, expected)
    assert not list(root.glob("checkpoints/.*"))


def test_full_disk_at_the_end_is_an_error(root: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def no_space(content: object, path: Path) -> None:
        if content["global_step"] > 10:  # type: ignore[index]
            raise OSError(30, "Read-only file system")
        save(content, path)

    monkeypatch.setattr(torch, "save", no_space)
    with (
        pytest.warns(UserWarning, match="training goes on"),
        pytest.raises(CheckpointError, match=r"Cannot write .*last.ckpt \(Read-only file system\)"),
    ):
        run(root)
    assert last(root)["global_step"] == 10


def test_cache_deleted_in_the_middle(root: Path, run: Callable, expected: Path, release: Path) -> None:
    """What is open stays readable; the next start builds the cache again, to the same samples."""
    cache = release.parent / "doomed"
    with pytest.raises(CacheError, match=r"validation.wav.pcm(.|\n)*prepare the cache again"):
        run(root, At(4, lambda trainer: shutil.rmtree(cache)), cache="doomed")
    assert newest_step(root) == 5, "the first that needs a recording that is not open yet is the validation"
    run(root, cache="doomed")
    assert_same_end(root, expected)


def fit(config: Path, *options: str) -> Path:
    main(["fit", "--config", str(config), "--run_id", "one", *QUIET, *options])
    return Path("runs/toy/one/checkpoints/last.ckpt")


def resume(path: Path, *options: str) -> None:
    main(["fit", "--ckpt_path", str(path), "--trainer.max_epochs", "3", *QUIET, *options])


def test_damaged_checkpoint(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Is an error, until the user says that the previous one will do."""
    monkeypatch.chdir(tmp_path)
    path = fit(toy_yaml, "--model.val_log_mel", "[1.0, 2.0, 3.0]")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SystemExit):
        resume(path)
    said = capsys.readouterr().err
    assert "last.ckpt is damaged" in said and "--fall_back true" in said
    resume(path, "--fall_back", "true")
    said = capsys.readouterr().out
    assert "last.ckpt is damaged" in said and "going on from" in said and "best.ckpt, step 4" in said
    assert torch.load(path, weights_only=True)["global_step"] == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "toy_experiment.OtherModule"], "whose class is toy_experiment.ToyModule, but"),
        (["--data.sample_rate", "16000"], "whose sample_rate is 8000, but .* is 16000"),
    ],
)
def test_checkpoint_of_another_model(
    toy_yaml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = fit(toy_yaml, "--trainer.max_epochs", "1")
    other = tmp_path / "copied.ckpt"
    shutil.copy(path, other)
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(toy_yaml), "--ckpt_path", str(other), *options, *QUIET])
    assert re.search(message, capsys.readouterr().err)


def test_read_only_run_folder(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Is noticed before training; the tests may run as root, who may write everywhere."""
    monkeypatch.chdir(tmp_path)

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(SystemExit):
        fit(toy_yaml)
    assert "Cannot write to the run folder" in capsys.readouterr().err


def test_a_stopped_command_goes_on_by_itself(
    toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The same command line starts the run, and goes on with it: what a queue does with a job."""
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", str(toy_yaml), "--run_id", "job-7", "--ckpt_path", "auto", *QUIET]
    stop = At(5, receive(signal.SIGTERM))
    monkeypatch.setattr("lightning_modules.cli.trainer.RunSummary", lambda: stop)
    with pytest.raises(SystemExit) as status:
        main(command)
    assert status.value.code == 128 + signal.SIGTERM
    main(command)
    assert torch.load("runs/toy/job-7/checkpoints/last.ckpt", weights_only=True)["global_step"] == 8
    assert [path.name for path in Path("runs/toy").iterdir()] == ["job-7"]


def test_slurm_warning_puts_the_job_back(
    toy_yaml: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    for name, value in {"JOB_ID": "42", "NTASKS": "1", "JOB_NAME": "piano", "NTASKS_PER_NODE": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.chdir(tmp_path)
    stop = At(5, receive(signal.SIGUSR1))
    monkeypatch.setattr("lightning_modules.cli.trainer.RunSummary", lambda: stop)
    with pytest.raises(SystemExit) as status:
        fit(toy_yaml)
    assert status.value.code == 128 + signal.SIGUSR1
    assert calls.read_text() == "requeue 42\n"
    assert newest_step(Path("runs/toy/one")) == 6
