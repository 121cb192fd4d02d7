"""Tiny models of every kind with random weights, and their checkpoints, for the tools that open them."""

import functools
from pathlib import Path

import torch

from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import describe_module
from lightning_modules.checkpoints.file import KEY
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.losses.adversarial import LeastSquaresLoss
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import ConvNeXtDecoder
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.networks.feature_encoder import LogMelFeatures
from lightning_modules.networks.generator import WaveGANGenerator, WaveGANVocoder
from lightning_modules.networks.heads import DenseScoreHead
from lightning_modules.networks.piano import DifferentiablePiano
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.networks.vocoders import HiFiGANGenerator, MelGANGenerator
from lightning_modules.networks.wavelet import WaveletDecoder, WaveletEncoder
from lightning_modules.schedules.kl_weight import ConstantKLWeight
from lightning_modules.schedules.updates import FixedUpdates
from lightning_modules.vae import VAE
from lightning_modules.wavegan import WaveGAN

RATE, CLIP, HOP, MELS = 8000, 1024, 16, 8
adam = functools.partial(torch.optim.Adam, lr=1e-3)


def make_vae(channels: int = 1) -> VAE:
    """Sounds out of its latents at about a tenth of full scale."""
    torch.manual_seed(0)
    vae = VAE(
        RATE,
        CLIP,
        encoder=ConvNeXtEncoder(channels, 8, strides=(4, 4), stem_channels=(6,), num_blocks=1),
        prior=StandardNormal(4),
        likelihood=GaussianLikelihood(),
        kl_weight=ConstantKLWeight(1.0),
        optimizer=adam,
        coarse_generator=CoarseGenerator(4, HOP, channels, hidden_size=8),
        decoder=ConvNeXtDecoder(4, 8, HOP, channels, num_blocks=1),
        latent_size=4,
        channels=channels,
    )
    with torch.no_grad():  # far enough from silence for differences to be heard
        vae.posterior_head.weight.normal_(std=1.0)
        vae.coarse_generator.output.weight.normal_(std=0.05)
    return vae.eval()


def make_wavelet_vae() -> VAE:
    """The networks of the default experiment, small."""
    vae = make_vae()
    torch.manual_seed(0)
    vae.encoder = WaveletEncoder(1, 2, "db2", widths=[6, 8], strides=[2, 2])
    vae.decoder = WaveletDecoder(4, 1, 2, "db2", widths=[8, 6], strides=[2, 2])
    return vae.eval()


def make_clip_vae() -> VAE:
    """One z for each `CLIP` samples."""
    torch.manual_seed(0)
    vae = VAE(
        RATE,
        CLIP,
        encoder=ConvNeXtEncoder(1, 8, strides=(4, 4), stem_channels=(6,), num_blocks=1),
        prior=StandardNormal(4),
        likelihood=GaussianLikelihood(),
        kl_weight=ConstantKLWeight(1.0),
        optimizer=adam,
        coarse_generator=CoarseGenerator(4, CLIP, hidden_size=8, overlap=1),
        decoder=ConvNeXtDecoder(3, 8, HOP, num_blocks=1),
        latent_size=4,
        latent="clip",
    )
    return vae.eval()


def make_wavegan(generator=None, feature_encoder=None, channels: int = 1) -> WaveGAN:
    """Unconditional by default."""
    torch.manual_seed(0)
    trunk = WaveGANTrunk(CLIP, 2, channels=channels)
    return WaveGAN(
        RATE,
        CLIP,
        generator=generator or WaveGANGenerator(CLIP, 2, latent_size=8, channels=channels),
        trunk=trunk,
        score_head=DenseScoreHead(trunk.hidden_sizes[0]),
        adversarial_loss=LeastSquaresLoss(),
        update_schedule=FixedUpdates(1),
        generator_optimizer=adam,
        critic_optimizer=adam,
        feature_encoder=feature_encoder,
        ema_decay=0.9,
        channels=channels,
    ).eval()


def make_player() -> WaveGAN:
    """Plays notes with a piano of few partials."""
    piano = DifferentiablePiano(RATE, num_partials=8, room_seconds=0.1)
    return make_wavegan(generator=piano).requires_grad_(False)


def make_vocoder(channels: int = 1) -> WaveGAN:
    features = LogMelFeatures(RATE, 64, 256, channels * MELS, channels)
    return make_wavegan(WaveGANVocoder(channels * MELS, 64, 4, channels), features, channels)


def make_melgan() -> WaveGAN:
    return make_wavegan(MelGANGenerator(MELS, 8, strides=(8, 8)), LogMelFeatures(RATE, 64, 256, MELS))


def make_hifigan() -> WaveGAN:
    generator = HiFiGANGenerator(MELS, 8, (8, 8), (16, 16), (3,), ((1, 3),))
    return make_wavegan(generator, LogMelFeatures(RATE, 64, 256, MELS))


def save(module: GenerativeModule, path: Path) -> Path:
    """Write the checkpoint that the Trainer would write, as far as tools read it."""
    content = {
        KEY: describe_module(module, GenerativeModule),
        "state_dict": module.state_dict(),
        "global_step": 7,
    }
    torch.save(content, path)
    return path
