"""Mixed precision: what must stay in float32 does, and two optimisers share one loss scale."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from tiny_training import make_data, make_trainer, make_vae, make_wavegan
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.batch import Batch


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    return [each for item in value for each in tensors(item)] if isinstance(value, list | tuple) else []


def dtypes_of(*modules: nn.Module) -> dict[str, set[torch.dtype]]:
    """Fills with the dtypes that go into and come out of the modules' calls."""
    seen: dict[str, set[torch.dtype]] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        found = {each.dtype for each in [*tensors(inputs), *tensors(output)]}
        seen.setdefault(type(module).__name__, set()).update(found)

    for module in modules:
        module.register_forward_hook(note)
    return seen


def one_step(model: pl.LightningModule, batch: Batch, tmp_path: Path, precision: str) -> dict[str, Tensor]:
    trainer = make_trainer(
        tmp_path, precision=precision, max_steps=1, enable_checkpointing=False, limit_val_batches=0
    )
    trainer.fit(model, DataLoader([batch], batch_size=None))
    return trainer.callback_metrics


@pytest.fixture
def batch() -> Batch:
    waveform = 0.1 * torch.randn(8, 1, 1024, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(8, dtype=torch.long)
    return Batch(waveform, zeros, zeros)


def test_vae_in_bfloat16(batch: Batch, tmp_path: Path) -> None:
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        model = make_vae()
        exact = dtypes_of(model.likelihood, model.spectral_loss, model.prior, *model.spectral_loss.transforms)
        fast = dtypes_of(
            *(each for each in model.encoder.modules() if isinstance(each, nn.Linear | nn.Conv1d))
        )
        losses[precision] = float(one_step(model, batch, tmp_path / precision, precision)["train/loss"])
        assert set.union(*exact.values()) == {torch.float32}, exact
    assert any(torch.bfloat16 in found for found in fast.values()), "the networks do run in bfloat16"
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)


def test_wavegan_in_bfloat16(batch: Batch, tmp_path: Path) -> None:
    figures = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        model = make_wavegan()
        exact = dtypes_of(model.feature_mapping)
        figures[precision] = one_step(model, batch, tmp_path / precision, precision)
        assert set.union(*exact.values()) == {torch.float32}, exact
    names = [name for name in figures["32-true"] if "penalty" in name or name.endswith("loss")]
    assert len(names) >= 3
    for name in names:
        assert figures["bf16-mixed"][name].dtype == torch.float32
        expected = float(figures["32-true"][name])
        assert float(figures["bf16-mixed"][name]) == pytest.approx(expected, rel=0.05, abs=0.02), name


class SpoilGradient(pl.Callback):
    """Makes one gradient of one optimiser infinite at one step, as an overflow in float16 does."""

    def __init__(self, step: int, optimizer: int) -> None:
        self.step, self.optimizer = step, optimizer
        self.weights: dict[int, list[Tensor]] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.before = [self._weights(optimizer) for optimizer in trainer.optimizers]

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.fit_loop.epoch_loop.batch_idx == self.step:
            parameters = trainer.optimizers[self.optimizer].param_groups[0]["params"]
            if parameters[0].grad is not None:
                parameters[0].grad.view(-1)[0] = math.inf

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop.batch_idx == self.step:
            after = [self._weights(optimizer) for optimizer in trainer.optimizers]
            self.moved = [not torch.equal(a, b) for a, b in zip(self.before, after, strict=True)]
            self.scale = trainer.precision_plugin.scaler.get_scale()

    @staticmethod
    def _weights(optimizer: torch.optim.Optimizer) -> Tensor:
        return torch.cat([each.detach().flatten() for each in optimizer.param_groups[0]["params"]])


@pytest.mark.parametrize("spoilt", [0, 1])
def test_an_overflow_skips_one_side_and_lowers_the_scale(
    tiny_release: Path, tmp_path: Path, spoilt: int
) -> None:
    """0: the generator's optimiser, 1: the critic's."""
    torch.manual_seed(0)
    model, callback = make_wavegan(), SpoilGradient(2, spoilt)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    trainer = make_trainer(
        tmp_path / "run",
        callback,
        # the plugin itself, since the Trainer changes 16-mixed on a CPU to bf16-mixed
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        max_steps=4,
        enable_checkpointing=False,
        limit_val_batches=0,
    )
    trainer.fit(model, datamodule=make_data(tiny_release, tmp_path / "cache"))
    assert callback.moved == [spoilt != 0, spoilt != 1]
    assert callback.scale < 16.0
    assert trainer.global_step == 4
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
