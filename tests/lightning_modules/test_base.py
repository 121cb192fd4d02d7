"""The contract of generative modules."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from toy_experiment import ToyBatch, ToyDataModule, ToyModule
from toy_models import make_clip_vae, make_vocoder, make_wavegan

from lightning_modules.base import (
    GenerativeModule,
    HasLatents,
    Samples,
    can_reconstruct,
    can_sample,
    has,
    has_latents,
    is_logging_step,
)
from lightning_modules.callbacks.audio_logger import AudioLogger
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.checkpoints.description import describe_module
from lightning_modules.checkpoints.file import KEY
from lightning_modules.distributions.priors import HasPrior
from lightning_modules.errors import CheckpointError, OptionError, RunError
from lightning_modules.training.run_checkpoint import RunCheckpoint
from lightning_modules.vae import VAE
from lightning_modules.wavegan import WaveGAN


class Smallest(GenerativeModule):
    """As little as a model needs."""

    def __init__(self, sample_rate: int = 8000, clip_samples: int = 1600) -> None:
        super().__init__(sample_rate, clip_samples)
        self.gain = torch.nn.Parameter(torch.tensor(0.1))

    def sample(
        self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        return self.gain * torch.randn(num_clips, self.channels, num_samples or self.clip_samples)

    def reconstruct(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.gain * waveform

    def training_step(self, batch: ToyBatch, batch_idx: int) -> torch.Tensor:
        loss = (self.gain * batch.waveform - batch.waveform).square().mean()
        self.log_training("loss", loss, {"gain": self.gain.detach()})
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)


class Silent(GenerativeModule):
    """Can do nothing."""


@pytest.mark.parametrize(
    ("make", "samples", "reconstructs", "latents", "prior"),
    [
        (Smallest, True, True, False, False),
        (lambda: Silent(8000, 1600), False, False, False, False),
        (make_clip_vae, True, True, True, True),
        (make_wavegan, True, False, True, False),
        (make_vocoder, False, True, True, False),
    ],
)
def test_what_models_can_do(make, samples, reconstructs, latents, prior) -> None:
    model = make()
    found = (can_sample(model), can_reconstruct(model), has_latents(model), isinstance(model, HasPrior))
    assert found == (samples, reconstructs, latents, prior)


def test_one_model_may_lack_what_its_class_has() -> None:
    model, other = Smallest(), Smallest()
    model.lacks = frozenset({Samples})
    assert not can_sample(model) and can_reconstruct(model)
    assert can_sample(other)
    assert not has(model, HasLatents)


@pytest.mark.parametrize("make", [Smallest, make_clip_vae])
def test_what_is_made_for_listening_has_no_gradients(make) -> None:
    model = make()
    assert not model.sample(2).requires_grad
    assert not model.reconstruct(torch.zeros(1, 1, 1600)).requires_grad
    assert next(model.parameters()).requires_grad


def trainer(folder: Path, **options: object) -> pl.Trainer:
    callbacks = [Evaluation(), AudioLogger(num_clips=1, num_generated=1), RunCheckpoint()]
    defaults = {"max_epochs": 1, "logger": False, "accelerator": "cpu", "enable_progress_bar": False}
    return pl.Trainer(
        **{**defaults, **options}, enable_model_summary=False, default_root_dir=folder, callbacks=callbacks
    )


def test_the_smallest_model_is_validated_kept_heard_and_tested(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit(Smallest(), datamodule=ToyDataModule())
    assert run.callback_metrics["val/log_mel_distance"] > 0
    names = {path.name for path in tmp_path.rglob("*.*")}
    assert {"best.ckpt", "last.ckpt", "sample_0.wav", "clip_0_reconstruction.wav"} <= names
    found = GenerativeModule.load_from_checkpoint(tmp_path / "checkpoints/best.ckpt", trust=["tests"])
    assert type(found) is Smallest
    trainer(tmp_path).test(found, ToyDataModule(), verbose=False)
    assert (tmp_path / "scores.json").is_file()


def test_predictions_are_what_a_model_can() -> None:
    waveform = torch.rand(3, 1, 500)
    batch = ToyBatch(waveform, torch.zeros(3), torch.zeros(3))
    model = Smallest()
    assert torch.equal(model.predict_step(batch, 0), 0.1 * waveform)
    model.lacks = frozenset({HasLatents})
    sampler = make_wavegan()
    assert sampler.predict_step(batch, 0).shape == (3, 1, 500)
    with pytest.raises(OptionError, match="Silent neither samples nor reconstructs"):
        Silent(8000, 1600).predict_step(batch, 0)


class LoggingSteps(pl.Callback):
    def __init__(self) -> None:
        self.found: list[bool] = []
        self.logged: list[bool] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self.found.append(is_logging_step(trainer))
        names = trainer.fit_loop.epoch_loop._results
        self.logged.append(any(key.endswith("train/gain") for key in names))


def test_figures_are_logged_at_logging_steps_only(tmp_path: Path) -> None:
    watch = LoggingSteps()
    run = pl.Trainer(
        max_epochs=1,
        log_every_n_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        default_root_dir=tmp_path,
        callbacks=[watch],
    )
    run.fit(Smallest(), datamodule=ToyDataModule())
    assert watch.found == [False, True, False, True]
    assert watch.logged == [False, True, True, True]  # kept once it was logged


def test_saving_adds_the_description_and_nothing_pickled() -> None:
    module = ToyModule(8000, 1600)
    checkpoint: dict[str, object] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint == {KEY: describe_module(module, GenerativeModule)}


EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_the_model_of_an_experiment_file_is_one_call():
    vae = VAE.from_config(EXPERIMENTS / "vae.yaml")
    assert type(vae) is VAE and (vae.sample_rate, vae.clip_samples, vae.channels) == (16_000, 16_384, 1)
    waveform = torch.zeros(1, 1, 1000)
    assert vae.reconstruct(waveform).shape == (1, 1, 1000)
    assert type(GenerativeModule.from_config(EXPERIMENTS / "wavegan.yaml")).__name__ == "WaveGAN"
    with pytest.raises(CheckpointError, match="which is no WaveGAN"):
        WaveGAN.from_config(EXPERIMENTS / "vae.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("trainer: {}", "describes no model"), ("model: {class_path: '${no.such}'}", "cannot be put together")],
)
def test_a_file_without_a_model_is_one_sentence(text, message, tmp_path):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RunError, match=message):
        GenerativeModule.from_config(tmp_path / "a.yaml")
