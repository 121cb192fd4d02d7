"""Throughput, gradient norm, progress lines and the summary, on the toy model."""

import csv
import math
import sys
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from toy_experiment import ToyDataModule, ToyModule

from lightning_modules.callbacks import throughput
from lightning_modules.callbacks.gradients import GradientNorm, gradient_norm
from lightning_modules.callbacks.throughput import Throughput
from lightning_modules.training import progress
from lightning_modules.training.progress import LineProgress, TerminalProgress, progress_bar
from lightning_modules.training.run_checkpoint import RunCheckpoint
from lightning_modules.training.summary import RunSummary


def fit(
    folder: Path, *callbacks: pl.Callback, module: ToyModule | None = None, **options: object
) -> pl.Trainer:
    defaults = {"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", "enable_model_summary": False}
    trainer = pl.Trainer(
        **{"enable_progress_bar": False, **defaults, **options},
        default_root_dir=folder,
        logger=CSVLogger(folder, name="metrics"),
        callbacks=list(callbacks),
    )
    trainer.fit(module or ToyModule(8000, 1600), datamodule=ToyDataModule())
    return trainer


def logged(folder: Path, name: str) -> list[float]:
    with (folder / "metrics" / "version_0" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


class FakeClock:
    """A clock that a training batch moves on by 0.5 s, and validation by an hour."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Slow(pl.Callback):
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def on_train_batch_start(self, *_: object) -> None:
        self.clock.now += 0.5

    def on_validation_start(self, *_: object) -> None:
        self.clock.now += 3600.0


def test_throughput_counts_training_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(throughput, "time", clock)
    fit(tmp_path, Slow(clock), Throughput(window_steps=2), enable_checkpointing=False)
    assert logged(tmp_path, "perf/steps_per_second") == pytest.approx([2.0] * 8)
    # 4 clips of 1600 samples at 8 kHz are 0.8 s of audio in each step
    assert logged(tmp_path, "perf/audio_seconds_per_second") == pytest.approx([1.6] * 8)


def test_throughput_forgets_what_is_older_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"window_steps is 0\n.*give at least 1"):
        Throughput(0)
    assert Throughput(3)._marks.maxlen == 4


def test_throughput_counts_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a linear layer, 1600 to 1600 samples, in each of 2 steps a second; its input needs no gradient."""
    clock = FakeClock()
    monkeypatch.setattr(throughput, "time", clock)
    monkeypatch.setattr(
        throughput, "peak_flops", lambda device, precision: 1e9 if device.type == "cpu" else 0
    )
    module = ToyModule(8000, 1600, network=torch.nn.Linear(1600, 1600))
    per_step = 2 * (
        2 * 4 * 1600 * 1600
    )  # forwards and for the weight; a multiplication, an addition; 4 clips
    options = {"module": module, "max_epochs": 1, "limit_val_batches": 0, "enable_checkpointing": False}
    trainer = fit(tmp_path, Slow(clock), Throughput(window_steps=2), **options)
    assert logged(tmp_path, "perf/tflop_per_second") == pytest.approx([2 * per_step / 1e12] * 4)
    assert logged(tmp_path, "perf/share_of_peak") == pytest.approx([2 * per_step / 1e9] * 4)
    assert "perf/tflop_per_second" in trainer.progress_bar_metrics


def test_throughput_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in every step, and not again in a resumed run; a step that fails leaves nothing behind."""
    made: list[int] = []
    count = throughput.FlopCount
    monkeypatch.setattr(throughput, "FlopCount", lambda: made.append(1) or count())
    options = {"limit_val_batches": 0, "enable_checkpointing": False}
    monitor = Throughput()
    fit(tmp_path, monitor, **options)
    assert len(made) == 1
    resumed = Throughput()
    resumed.load_state_dict(monitor.state_dict())
    fit(tmp_path, resumed, **options)
    assert len(made) == 1
    with pytest.raises(RuntimeError, match="told to fail"):
        fit(tmp_path, Throughput(), module=ToyModule(8000, 1600, fail_at_step=0), **options)
    assert len(made) == 2
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


def test_gradient_norm_by_hand() -> None:
    weights = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))]
    unused = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": [weights[1], unused]}], lr=1.0)
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm(optimizer).item() == 5.0


def test_gradient_norm_is_logged_before_clipping(tmp_path: Path) -> None:
    clip_at = 1e-4
    fit(tmp_path, GradientNorm(), gradient_clip_val=clip_at, enable_checkpointing=False, max_epochs=1)
    norms = logged(tmp_path, "train/gradient_norm")
    losses = logged(tmp_path, "train/loss")
    # loss = (w - 1)² mean(x²), so its gradient is 2 loss / (w - 1); clipping leaves w near 0.1
    expected = [2 * loss / 0.9 for loss in losses]
    assert norms == pytest.approx(expected, rel=1e-2)
    assert min(norms) > 100 * clip_at


def test_gradient_norm_at_logging_steps_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    module = "lightning_modules.callbacks.gradients.gradient_norm"
    monkeypatch.setattr(module, lambda optimizer: calls.append(1) or torch.tensor(1.0))
    fit(tmp_path, GradientNorm(), log_every_n_steps=4, enable_checkpointing=False)
    assert len(calls) == 2  # of 8 steps


def test_progress_bar_suits_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(progress_bar(), TerminalProgress)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert isinstance(progress_bar(), LineProgress)


def test_lines_appear_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    fit(tmp_path, LineProgress(every_seconds=0.0), enable_progress_bar=True, enable_checkpointing=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 8 + 2
    assert lines[0].startswith("epoch 1/2  batch 1/4  step 1")
    assert "train/loss 0." in lines[0]
    assert "v_num" not in "".join(lines)
    fit(tmp_path, LineProgress(every_seconds=1e9), enable_progress_bar=True, enable_checkpointing=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 1


def test_terminal_redraws_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    redraws = []
    monkeypatch.setattr(progress.RichProgressBar, "refresh", lambda self, hard: redraws.append(hard))
    bar = TerminalProgress(redraw_seconds=1e9)
    bar.refresh()
    for _ in range(100):
        bar.refresh()
    assert len(redraws) <= 1
    bar.refresh(hard=True)
    assert redraws[-1] is True


def test_summary_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "samples" / "step_000008").mkdir(parents=True)
    module = ToyModule(8000, 1600, val_log_mel=[2.0, 3.0])
    fit(tmp_path / "run", RunCheckpoint(), RunSummary(), module=module)
    text = capsys.readouterr().out
    assert "Run:       run  (2 epochs, 8 steps, 0 min" in text
    assert "Best:      val/log_mel_distance 2  (run/checkpoints/best.ckpt)" in text
    assert "Last:      val/log_mel_distance 3\n" in text
    assert "Listen:    run/samples/step_000008\n" in text
    assert "Test:      lightning test --ckpt_path run/checkpoints/best.ckpt\n" in text
    assert "Continue:  lightning fit --ckpt_path run/checkpoints/last.ckpt --trainer.max_epochs N" in text


def epoch_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["global_step"] // 4 - 1


def test_best_stays_and_last_goes_on(tmp_path: Path) -> None:
    module = ToyModule(8000, 1600, val_log_mel=[5.0, 2.0, 3.0, math.nan])
    fit(tmp_path, RunCheckpoint(), module=module, max_epochs=4)
    assert epoch_of(tmp_path / "checkpoints" / "best.ckpt") == 1
    assert epoch_of(tmp_path / "checkpoints" / "last.ckpt") == 3
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_exception_leaves_best_and_last_alone(tmp_path: Path) -> None:
    module = ToyModule(8000, 1600, val_log_mel=[5.0, 2.0], fail_at_step=10)
    with pytest.raises(RuntimeError, match="told to fail"):
        fit(tmp_path, RunCheckpoint(), module=module, max_epochs=9)
    steps = {
        path.stem: torch.load(path, weights_only=True)["global_step"]
        for path in (tmp_path / "checkpoints").iterdir()
    }
    assert steps == {"best": 8, "last": 8, "interrupted": 10}


class ControlC(pl.Callback):
    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 2:
            raise KeyboardInterrupt


def test_control_c_keeps_what_was_learned(tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, RunCheckpoint(), ControlC())
    (path,) = (tmp_path / "checkpoints").iterdir()
    assert path.name == "interrupted.ckpt"
    assert torch.load(path, weights_only=True)["global_step"] == 2


def test_last_is_written_within_long_epochs(tmp_path: Path) -> None:
    module = ToyModule(8000, 1600, fail_at_step=3)
    with pytest.raises(RuntimeError, match="told to fail"):
        fit(
            tmp_path,
            RunCheckpoint(save_on_exception=False, monitor=None, every_n_train_steps=2),
            module=module,
        )
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2


def test_monitor_that_nobody_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        pl.utilities.exceptions.MisconfigurationException, match=r"val/no_such.*could not find"
    ):
        fit(tmp_path, RunCheckpoint(monitor="val/no_such"))
