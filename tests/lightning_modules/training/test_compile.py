"""Options for speed: compiled parts and fused optimisers learn what others learn, under the same names."""

import functools
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from tiny_training import CLIP, make_vae, make_wavegan
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from lightning_modules.base import GenerativeModule
from lightning_modules.callbacks.throughput import Throughput
from lightning_modules.errors import OptionError
from lightning_modules.runs.metrics import read_rows
from lightning_modules.training.compile import Compile

STEPS = 4


def batches() -> DataLoader:
    noise = 0.1 * torch.randn(STEPS, 4, 1, CLIP, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(4, dtype=torch.long)
    return DataLoader([Batch(clips, zeros, zeros) for clips in noise], batch_size=None)


def train(folder: Path, *callbacks: pl.Callback, fused: bool = False) -> tuple[GenerativeModule, list[float]]:
    """A tiny VAE after a few steps, and its losses."""
    pl.seed_everything(0, verbose=False)
    model = make_vae(functools.partial(torch.optim.AdamW, lr=1e-3, fused=fused))
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=CSVLogger(folder, name="metrics", version=0),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, batches())
    rows = read_rows(folder / "metrics" / "version_0" / "metrics.csv")[1]
    return model, [float(row["train/loss"]) for row in rows]


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_losses_are_the_same(tmp_path: Path, backend: str) -> None:
    """To rounding: a traced backward pass adds gradients up in another order."""
    plain, losses = train(tmp_path / "plain")
    compiled, found = train(tmp_path / "compiled", Compile(["encoder", "decoder"], backend), Throughput())
    assert len(losses) == STEPS and found == pytest.approx(losses, rel=1e-5, abs=0.0)
    assert compiled.encoder._compiled_call_impl is not None
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_fused_optimizer(tmp_path: Path) -> None:
    losses, found = (train(tmp_path / str(fused), fused=fused)[1] for fused in (False, True))
    assert found == pytest.approx(losses, rel=1e-5, abs=0.0)


def setup(model: GenerativeModule, *parts: str) -> None:
    Compile(parts, "eager").setup(pl.Trainer(logger=False, accelerator="cpu"), model, "fit")


def test_what_cannot_be_compiled() -> None:
    with pytest.raises(OptionError, match=r"no part 'encoders' to compile\n.*encoder, .*decoder"):
        setup(make_vae(), "encoders")
    critic = make_wavegan()
    setup(critic, "generator")
    assert critic.generator._compiled_call_impl is not None
    for name in ("trunk", "score_head"):
        with pytest.raises(OptionError, match=rf"{name} cannot be compiled: .*\n.*trunk and score_head"):
            setup(critic, name)
    assert critic.trunk._compiled_call_impl is None
    critic.differentiated_twice = ()  # as without gradient penalty
    setup(critic, "trunk")
    with pytest.raises(OptionError, match=r"parts are \(\)"):
        Compile(())
