"""Whole runs of tiny models on real data modules: what the tests of resuming, faults and devices train."""

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from datamodules import MaestroDataModule
from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.file import AtomicCheckpointIO
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.loggers.csv_logger import RunCSVLogger
from lightning_modules.losses.adversarial import HingeLoss, WassersteinLoss
from lightning_modules.losses.feature_mapping import FeatureStatistics
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss
from lightning_modules.losses.transcription import NoteMapping
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import ConvNeXtDecoder
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.networks.feature_encoder import LogMelFeatures
from lightning_modules.networks.generator import WaveGANGenerator
from lightning_modules.networks.heads import DenseScoreHead, LinearFeatureHead
from lightning_modules.networks.piano import DifferentiablePiano
from lightning_modules.networks.transcriber import Transcriber
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.runs.resume import find_checkpoint
from lightning_modules.schedules.kl_weight import LinearWarmupKLWeight
from lightning_modules.schedules.learning_rate import WarmupCosine
from lightning_modules.schedules.updates import AdaptiveUpdates, FixedUpdates, UpdateSchedule
from lightning_modules.training.exact_resume import ExactResume
from lightning_modules.training.interruption import Interruption
from lightning_modules.training.run_checkpoint import RunCheckpoint
from lightning_modules.vae import VAE
from lightning_modules.wavegan import WaveGAN

RATE, CLIP, STEPS = 16_000, 1024, 24


def make_vae(optimizer: Any = None) -> VAE:
    return VAE(
        RATE,
        CLIP,
        ConvNeXtEncoder(1, 8, strides=(8, 8), stem_channels=(6,), num_blocks=1),
        StandardNormal(4),
        GaussianLikelihood(),
        LinearWarmupKLWeight(1.0, 10),
        optimizer or functools.partial(torch.optim.AdamW, lr=1e-3),
        CoarseGenerator(4, 64, hidden_size=8),
        ConvNeXtDecoder(4, 8, 64, num_blocks=1),
        latent_size=4,
        spectral_loss=MultiResolutionSTFTLoss([256, 64]),
        lr_scheduler=functools.partial(WarmupCosine, total_steps=STEPS),
    )


def make_wavegan(
    optimizer: Any = None, schedule: UpdateSchedule | None = None, clip_norm: float = 10.0
) -> WaveGAN:
    optimizer = optimizer or functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    decay = functools.partial(WarmupCosine, total_steps=STEPS)
    return WaveGAN(
        RATE,
        CLIP,
        WaveGANGenerator(CLIP, 2, 8),
        WaveGANTrunk(CLIP, 2),
        DenseScoreHead(8),
        WassersteinLoss(),
        schedule or AdaptiveUpdates(0.9, 0.6, 2, 2),
        optimizer,
        optimizer,
        LogMelFeatures(RATE, 64, 256, 8),
        LinearFeatureHead(8, 8, 1),
        FeatureStatistics(),
        gradient_penalty=GradientPenalty(),
        encoder_weight=2.0,
        ema_decay=0.9,
        gradient_clip_norm=clip_norm,
        generator_lr_scheduler=decay,
        critic_lr_scheduler=decay,
    )


def make_player(optimizer: Any = None) -> WaveGAN:
    """From notes, with every loss and an F that transcribes."""
    optimizer = optimizer or functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    decay = functools.partial(WarmupCosine, total_steps=STEPS)
    return WaveGAN(
        RATE,
        CLIP,
        DifferentiablePiano(RATE, num_partials=4, room_seconds=0.02),
        WaveGANTrunk(CLIP, 2),
        DenseScoreHead(8),
        HingeLoss(),
        FixedUpdates(1),
        optimizer,
        optimizer,
        spectral_loss=MultiResolutionSTFTLoss([256, 64]),
        feature_weight=0.02,
        ema_decay=0.9,
        generator_lr_scheduler=decay,
        critic_lr_scheduler=decay,
        transcriber=Transcriber(RATE, width=2, dilations=(1,), window_seconds=(0.032,)),
        note_mapping=NoteMapping(),
    )


MODELS = {
    "vae": make_vae,
    "wavegan": make_wavegan,
    "player": make_player,
    "wavegan-fixed": functools.partial(make_wavegan, schedule=FixedUpdates(2)),
}


def make_data(source: Path, cache: Path, workers: int = 0, **options: Any) -> MaestroDataModule:
    given = {"batch_size": 4, "clips_per_epoch": 28, "eval_clip_seconds": 0.256, "eval_batch_size": 4}
    return MaestroDataModule(
        "v3.0.0",
        source,
        cache,
        clip_samples=CLIP,
        gain_db=(-3.0, 0.0),
        workers=workers,
        progress=False,
        **(given | options),
    )


def make_trainer(root: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """A Trainer as `lightning fit` makes it, without W&B: 24 steps in epochs of 7, validated every 5."""
    given = {
        "max_steps": STEPS,
        "max_epochs": -1,
        "val_check_interval": 5,
        "check_val_every_n_epoch": None,
        "limit_val_batches": 2,
        "num_sanity_val_steps": 0,
        "accelerator": "cpu",
        "devices": 1,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": RunCSVLogger(root),
        "plugins": [AtomicCheckpointIO(patient=True)],
    }
    return pl.Trainer(default_root_dir=root, callbacks=list(callbacks), **(given | options))


def train(
    kind: str, root: Path, data: MaestroDataModule, *callbacks: pl.Callback, **options: Any
) -> tuple[GenerativeModule, pl.Trainer]:
    """Start the run in `root`, or go on with it where it was stopped."""
    pl.seed_everything(0, verbose=False)
    model = MODELS[kind]()
    checkpoint = RunCheckpoint(monitor=None, every_n_train_steps=3)
    trainer = make_trainer(root, *callbacks, Interruption(), ExactResume(), checkpoint, **options)
    found = find_checkpoint("auto", root.parent.parent, root.parent.name, root.name)
    trainer.fit(model, datamodule=data, ckpt_path=found and str(found), weights_only=True)
    return model, trainer
