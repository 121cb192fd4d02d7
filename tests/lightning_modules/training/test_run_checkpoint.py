"""The best, the last and the interrupted checkpoint."""

import math
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from toy_experiment import ToyModule
from toy_fit import fit

from lightning_modules.errors import OptionError
from lightning_modules.training.run_checkpoint import RunCheckpoint


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
    with pytest.raises(OptionError, match=r"checkpoint.monitor is 'val/no_such', which this validation"):
        fit(tmp_path, RunCheckpoint(monitor="val/no_such"))


@pytest.mark.parametrize("score", [{}, "low", torch.zeros(2)], ids=["table", "text", "two"])
def test_a_score_that_is_no_number_is_noticed_before_training(tmp_path: Path, score: object) -> None:
    fit(tmp_path, RunCheckpoint())
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    (state,) = (each for each in checkpoint["callbacks"].values() if "best_model_score" in each)
    state["best_model_score"] = score
    callback = RunCheckpoint()
    with pytest.raises(TypeError, match="the score of its best checkpoint is"):
        callback.load_state_dict(state)


def test_what_a_checkpoint_names_as_the_worst_best_is_no_folder_to_delete(tmp_path: Path) -> None:
    module = ToyModule(8000, 1600, val_log_mel=[5.0, 4.0, 3.0])
    fit(tmp_path, RunCheckpoint(), module=module, max_epochs=1)
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    (state,) = (each for each in checkpoint["callbacks"].values() if "best_model_score" in each)
    callback = RunCheckpoint(dirpath=str(tmp_path / "checkpoints"))
    callback._fitting = True
    worst = {"x/..": torch.tensor(9.0)}
    callback.load_state_dict({**state, "kth_best_model_path": "x/..", "best_k_models": worst})
    assert callback.kth_best_model_path == ""
    assert list(callback.best_k_models) == [""]
