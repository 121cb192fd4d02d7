"""A planted fault of each kind is found, healthy training is not disturbed, NaN never reaches the weights."""

import functools
import json
import math
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch.utils.data import DataLoader
from toy_experiment import ToyDataModule, ToyModule

from datamodules.batch import Batch
from lightning_modules.base import GenerativeModule
from lightning_modules.callbacks.health import Health
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.losses.adversarial import LeastSquaresLoss
from lightning_modules.losses.feature_mapping import PairedFeatureDistance
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import ConvNeXtDecoder
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.networks.feature_encoder import LogMelFeatures
from lightning_modules.networks.generator import WaveGANGenerator, WaveGANVocoder
from lightning_modules.networks.heads import DenseScoreHead, LinearFeatureHead
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.schedules.kl_weight import ConstantKLWeight
from lightning_modules.schedules.updates import FixedUpdates
from lightning_modules.vae import VAE
from lightning_modules.wavegan import WaveGAN

RATE, CLIP, BATCH = 16000, 1024, 8
adam = functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))


def make_vae(**changes) -> VAE:
    torch.manual_seed(0)
    arguments = {
        "encoder": ConvNeXtEncoder(1, 16, strides=(8, 8), stem_channels=(8,), num_blocks=1),
        "prior": StandardNormal(4),
        "likelihood": GaussianLikelihood(),
        "kl_weight": ConstantKLWeight(1.0),
        "optimizer": functools.partial(torch.optim.AdamW, lr=5e-3),
        "coarse_generator": CoarseGenerator(4, 64, hidden_size=16),
        "decoder": ConvNeXtDecoder(4, 16, 64, num_blocks=1),
        "latent_size": 4,
        "spectral_loss": MultiResolutionSTFTLoss([256, 128]),
    }
    return VAE(RATE, CLIP, **(arguments | changes))


def make_gan(**changes) -> WaveGAN:
    torch.manual_seed(0)
    trunk = WaveGANTrunk(CLIP, 4)
    arguments = {
        "generator": WaveGANGenerator(CLIP, 4, latent_size=8),
        "trunk": trunk,
        "score_head": DenseScoreHead(trunk.hidden_sizes[0]),
        "adversarial_loss": LeastSquaresLoss(),
        "update_schedule": FixedUpdates(1),
        "generator_optimizer": adam,
        "critic_optimizer": adam,
        "ema_decay": 0.9,
    }
    return WaveGAN(RATE, CLIP, **(arguments | changes))


def make_vocoder() -> WaveGAN:
    return make_gan(
        generator=WaveGANVocoder(8, 64, 4),
        feature_encoder=LogMelFeatures(RATE, 64, 256, 8),
        feature_head=LinearFeatureHead(16, 8, frames_per_step=1),
        feature_mapping=PairedFeatureDistance(),
        spectral_loss=MultiResolutionSTFTLoss([256, 128]),
        spectral_weight=5.0,
        generator_optimizer=functools.partial(adam, lr=3e-3),
    )


def notes(seed: int, samples: int = CLIP) -> Batch:
    """Decaying notes of random pitch and loudness, two partials each."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / RATE
    pitch = 200 * 2 ** (3 * torch.rand(BATCH, 1, 1, generator=generator))
    loudness = 0.1 + 0.3 * torch.rand(BATCH, 1, 1, generator=generator)
    phase = 2 * torch.pi * pitch * time
    zeros = torch.zeros(BATCH, dtype=torch.long)
    return Batch(
        loudness * (torch.sin(phase) + 0.3 * torch.sin(2 * phase)) * torch.exp(-10 * time), zeros, zeros
    )


def loader(first: int, count: int) -> DataLoader:
    return DataLoader([notes(seed) for seed in range(first, first + count)], batch_size=None)


def fit(
    folder: Path, model: GenerativeModule, *callbacks: pl.Callback, steps: int = 51, **options
) -> pl.Trainer:
    settings: dict = {"logger": False, "log_every_n_steps": 10, "val_check_interval": steps // 3} | options
    trainer = pl.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, default_root_dir=folder, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, **settings,
    )  # fmt: skip
    trainer.fit(model, loader(0, steps), loader(1000, 2))
    return trainer


watch = functools.partial(Health, every_n_steps=2, grace_steps=30)


def findings(folder: Path) -> list[dict]:
    return json.loads((folder / "health.json").read_text())


def problems(folder: Path) -> set[str]:
    return {finding["problem"] for finding in findings(folder)}


class Plant(pl.Callback):
    """Does something to the model before each step."""

    def __init__(self, fault) -> None:
        self.fault = fault

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        with torch.no_grad():
            self.fault(pl_module)


def last_layer(model: WaveGAN) -> torch.nn.Module:
    return [part for part in model.generator.stack.modules() if hasattr(part, "bias")][-1]


def mute(model):
    for parameter in last_layer(model).parameters():
        parameter.zero_()


def shout(model):
    last_layer(model).weight.copy_(1e3 * last_layer(model).weight.sign())


def shift(model):
    last_layer(model).bias.fill_(0.4)


def ignore_the_latent(model):
    dense = model.generator.dense
    dense.weight.zero_()
    dense.bias.copy_(torch.linspace(-3, 3, len(dense.bias)))


def deaf(model):
    for parameter in model.score_head.parameters():
        parameter.zero_()


frozen = functools.partial(torch.optim.SGD, lr=0.0)
MODEL_FAULTS = {
    "silence": (make_gan, mute),
    "clipping": (make_gan, shout),
    "dc_offset": (make_gan, shift),
    "mode_collapse": (make_gan, ignore_the_latent),
    "critic_lost": (make_gan, deaf),
    "critic_won": (functools.partial(make_gan, generator_optimizer=frozen), None),
    "posterior_collapse": (functools.partial(make_vae, kl_weight=ConstantKLWeight(1e4)), None),
}


@pytest.mark.parametrize(
    "problem",
    # those of critics take the most steps
    [pytest.param(name, marks=pytest.mark.slow if "critic" in name else ()) for name in MODEL_FAULTS],
)
def test_a_planted_fault_is_found(tmp_path, capsys, problem):
    make, fault = MODEL_FAULTS[problem]
    steps = 101 if problem.startswith("critic") else 51  # a critic is judged by twenty looks
    fit(tmp_path, make(), watch(), *([Plant(fault)] if fault else []), steps=steps)
    assert problem in problems(tmp_path)
    (finding, *_) = [each for each in findings(tmp_path) if each["problem"] == problem]
    assert finding["step"] <= steps + 9
    said = capsys.readouterr().out
    assert (
        said.count(
            f"health: step {finding['step']}: {finding['message']}\n        Try: {finding['advice']}\n"
        )
        == 1
    )


@pytest.mark.parametrize(
    ("make", "grace_steps"),
    [
        (make_vae, 30),
        pytest.param(make_gan, 30, marks=pytest.mark.slow),
        pytest.param(make_vocoder, 45, marks=pytest.mark.slow),
    ],
)
def test_healthy_training_trips_nothing(tmp_path, capsys, make, grace_steps):
    fit(tmp_path, make(), watch(grace_steps=grace_steps))
    assert findings(tmp_path) == []
    assert "health" not in capsys.readouterr().out


def test_a_diverging_run_explodes_before_it_is_infinite(tmp_path):
    # loss = m (w - 1)², m = E[x²] = 1/12: SGD multiplies w - 1 by 1 - lr / 6 at each step
    model = ToyModule(8000, 1600, optimizer=functools.partial(torch.optim.SGD, lr=15.0))
    trainer = pl.Trainer(max_epochs=6, accelerator="cpu", default_root_dir=tmp_path, logger=False,
                         callbacks=[Health(ignore=("silence", "clipping"))], enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(model, datamodule=ToyDataModule())
    (first, *_) = findings(tmp_path)
    assert first["problem"] == "gradient_explosion" and first["step"] == 20


class Poison(pl.Callback):
    """Puts NaN into one batch, or into all from it on, and keeps the weights as they were before it."""

    def __init__(self, step: int, last: int) -> None:
        self.step, self.last = step, last
        self.before: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.step <= batch_idx <= self.last:
            batch.waveform[0, 0, 5] = math.nan
        self.before.append({name: value.clone() for name, value in pl_module.state_dict().items()})


@pytest.mark.parametrize("make", [make_vae, make_gan, make_vocoder])
def test_nan_never_reaches_the_weights(tmp_path, make):
    model, poison = make(), Poison(7, 7)
    trainer = fit(tmp_path, model, poison, Health(), steps=10, val_check_interval=10)
    sides = ("trunk", "score_head", "feature_head") if isinstance(model, WaveGAN) else ("",)
    names = [name for name, _ in model.named_parameters() if name.startswith(sides)]  # of the critic, or all
    for name in names:
        assert torch.equal(poison.before[7][name], poison.before[8][name]), name
    assert any(not torch.equal(poison.before[8][name], poison.before[9][name]) for name in names)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    states = [state for optimizer in trainer.optimizers for state in optimizer.state.values()]
    values = [torch.as_tensor(value) for state in states for value in state.values()]
    assert values and all(torch.isfinite(value).all() for value in values)
    assert "non_finite_gradient" in problems(tmp_path)


def test_without_the_callback_the_same_nan_spoils_the_weights(tmp_path):
    model = make_vae()
    fit(tmp_path, model, Poison(7, 7), steps=9, val_check_interval=9)
    assert not torch.isfinite(model.posterior_head.weight).any()


def test_training_that_learns_nothing_any_more_ends(tmp_path, capsys):
    model = make_vae()
    trainer = fit(tmp_path, model, Poison(5, 10**9), Health(max_lost_steps=30), val_check_interval=51)
    assert trainer.global_step == 40
    assert {"non_finite_gradient", "non_finite_loss", "training_stopped"} == problems(tmp_path)
    assert "no gradient was finite for 35 steps" in capsys.readouterr().out
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_said_once_until_it_clears(tmp_path):
    fit(tmp_path, make_vae(), Poison(2, 12), Health(every_n_steps=5), steps=20, val_check_interval=20)
    steps = [each["step"] for each in findings(tmp_path) if each["problem"] == "non_finite_gradient"]
    assert steps == [5]
    health = Health(every_n_steps=5)
    fit(tmp_path / "two", make_vae(), Poison(2, 2), Poison(12, 12), health, steps=20, val_check_interval=20)
    steps = [each["step"] for each in findings(tmp_path / "two") if each["problem"] == "non_finite_gradient"]
    assert steps == [5, 15]
    assert health.state_dict()["active"] == []


def test_a_resumed_run_says_nothing_twice_and_keeps_what_was_found(tmp_path):
    first = watch()
    fit(tmp_path, make_gan(), Plant(mute), first)
    known = findings(tmp_path)
    second = watch()
    second.load_state_dict(first.state_dict())
    fit(tmp_path, make_gan(), Plant(mute), second)
    assert "silence" in problems(tmp_path)
    assert findings(tmp_path) == known


def test_stop(tmp_path, capsys):
    trainer = fit(tmp_path, make_gan(), Plant(mute), watch(stop=True))
    assert trainer.global_step == 34
    assert "training stops here" in capsys.readouterr().out


def test_ignored_problems_are_not_reported(tmp_path):
    fit(tmp_path, make_gan(), Plant(mute), watch(ignore=("silence",)))
    assert "silence" not in problems(tmp_path)


class Board(WandbLogger):
    """W&B's logger without W&B."""

    def __init__(self) -> None:
        self.figures, self.tables = [], []

    def log_table(self, key, columns, data, step):
        self.tables.append((step, key, columns, data))

    def log_metrics(self, metrics, step=None):
        self.figures.append((step, metrics))

    def finalize(self, status):
        pass

    def log_hyperparams(self, *_):
        pass

    save_dir = name = version = property(lambda self: None)


def test_the_loggers_are_told(tmp_path):
    board = Board()
    fit(tmp_path, make_vae(), Poison(5, 5), Health(), steps=30, logger=[board, CSVLogger(tmp_path)],
        val_check_interval=30)  # fmt: skip
    states = [(s, figures["health/non_finite_gradient"]) for s, figures in board.figures
              if "health/non_finite_gradient" in figures]  # fmt: skip
    assert states == [(10, 1.0), (20, 0.0)]
    step, key, columns, rows = board.tables[-1]
    assert (step, key, columns) == (10, "health/findings", ["step", "problem", "message", "advice"])
    assert rows == [list(finding.values()) for finding in findings(tmp_path)]
    assert "health/non_finite_gradient" in next(tmp_path.rglob("metrics.csv")).read_text().splitlines()[0]


@pytest.mark.parametrize("option", ["every_n_steps", "num_clips", "max_lost_steps"])
def test_options_are_checked(option):
    with pytest.raises(ValueError, match=rf"Health's {option} is 0\n.*give at least"):
        Health(**{option: 0})
