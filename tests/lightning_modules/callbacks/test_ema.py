"""The average of the weights is what is validated and saved; training does not know of it."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from tiny_training import make_data, make_wavegan, train

from lightning_modules import load_module
from lightning_modules.callbacks.ema import EMA
from lightning_modules.errors import OptionError

DECAY = 0.9


class Watch(pl.Callback):
    """Keeps the weights after each step, and those of each validation; may stop within one."""

    def __init__(self, stop_in_validation: int = 0) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []
        self.validated: dict[int, dict[str, torch.Tensor]] = {}
        self.stop = stop_in_validation

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        self.steps.append(weights(pl_module))

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        self.validated[trainer.global_step] = weights(pl_module)
        if trainer.global_step == self.stop:
            raise InterruptedError("stopped within a validation")


def weights(module: pl.LightningModule) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def saved(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_validation_checkpoint_and_the_end_have_the_average(tiny_release: Path, tmp_path: Path) -> None:
    data = make_data(tiny_release, tmp_path / "cache")
    plain, watch = Watch(), Watch()
    train("vae", tmp_path / "toy/plain", data, plain)
    model, _ = train("vae", tmp_path / "toy/averaged", data, EMA(DECAY), watch)
    assert len(watch.steps) == len(plain.steps) == 24
    assert all(equal(a, b) for a, b in zip(watch.steps, plain.steps, strict=True)), "training is the same"

    average, averages = {name: value.double() for name, value in watch.steps[0].items()}, []
    for count, step in enumerate(watch.steps):
        decay = min(DECAY, (1 + count) / (10 + count))
        if count:
            average = {name: decay * value + (1 - decay) * step[name] for name, value in average.items()}
        averages.append({name: value.float() for name, value in average.items()})
    assert sorted(watch.validated) == [5, 10, 15, 20]
    for step, found in watch.validated.items():
        torch.testing.assert_close(found, averages[step - 1], rtol=1e-5, atol=1e-6)
    assert not equal(watch.validated[20], watch.steps[19])

    torch.testing.assert_close(weights(model), averages[-1], rtol=1e-5, atol=1e-6)
    last = tmp_path / "toy/averaged/checkpoints/last.ckpt"
    assert equal(weights(load_module(last)), weights(model)), "what the file is opened for"
    assert equal(watch.steps[-1], saved(last)["current_model_state"]), "what goes on"


def test_a_run_cut_short_within_a_validation_goes_on(tiny_release: Path, tmp_path: Path) -> None:
    """It is the uninterrupted run, though average and weights had each other's place."""
    data = make_data(tiny_release, tmp_path / "cache")
    train("vae", tmp_path / "toy/whole", data, EMA(DECAY), max_steps=14)
    part = tmp_path / "toy/part"
    with pytest.raises(InterruptedError):
        train("vae", part, data, EMA(DECAY), Watch(stop_in_validation=10))
    assert (part / "checkpoints/interrupted.ckpt").is_file()
    train("vae", part, data, EMA(DECAY), max_steps=14)
    whole, found = (saved(tmp_path / "toy" / name / "checkpoints/last.ckpt") for name in ("whole", "part"))
    assert found["global_step"] == 14
    for key in ("state_dict", "current_model_state", "averaging_state"):
        assert found[key].keys() == whole[key].keys() and equal(found[key], whole[key]), key


def test_what_it_refuses() -> None:
    with pytest.raises(OptionError, match=r"EMA's decay is 1\.0"):
        EMA(1.0)
    with pytest.raises(OptionError, match=r"WaveGAN trains its parts by turns.*\n.*ema_decay"):
        EMA().setup(pl.Trainer(logger=False, accelerator="cpu"), make_wavegan(), "fit")
