"""How fast training goes, by a clock of our own."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from toy_experiment import ToyModule
from toy_fit import fit, logged

from lightning_modules.callbacks import throughput
from lightning_modules.callbacks.throughput import Throughput


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
