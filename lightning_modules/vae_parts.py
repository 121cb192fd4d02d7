"""What a pass through a VAE gives, and how its parts fit together."""

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.errors import OptionError
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import Decoder
from lightning_modules.networks.encoder import Encoder

if TYPE_CHECKING:
    from lightning_modules.losses.elbo import ELBO


class Forward(NamedTuple):
    """What one pass through the VAE gives.

    Attributes:
        posterior: q(z|x), (B, Z, L).
        elbo: The bound of each clip.
        kl: (B, Z or 1, L) nats, as the prior factorises.
        output: (B, C, T), the mean of p(x|z).
    """

    posterior: DiagonalGaussian
    elbo: "ELBO"
    kl: Tensor
    output: Tensor


def check_parts(
    encoder: Encoder,
    coarse_generator: CoarseGenerator | None,
    decoder: Decoder | None,
    channels: int,
    latent_size: int,
    frames_per_latent: int,
    latent_is_per_frame: bool,
) -> None:
    """Make sure that the networks of a VAE read and write the same kinds of audio and latents.

    Args:
        encoder: Waveform to features.
        coarse_generator: NetworkG, or None.
        decoder: z to the residual, or None.
        channels: Audio channels C.
        latent_size: Latent dimensions Z.
        frames_per_latent: Encoder frames that share one latent vector.
        latent_is_per_frame: Whether the decoder reads the latents themselves.

    Raises:
        OptionError: If both are None, or naming the first two values that differ.
    """
    if coarse_generator is None and decoder is None:
        raise OptionError("VAE needs a coarse_generator, a decoder, or both; got neither", "set one of them")
    pairs = [("channels", channels, "encoder.channels", encoder.channels)]
    if decoder is not None:
        pairs.append(("encoder.hop_samples", encoder.hop_samples, "decoder.hop_samples", decoder.hop_samples))
        if latent_is_per_frame:
            pairs.append(("latent_size", latent_size, "decoder.latent_size", decoder.latent_size))
    if coarse_generator is not None:
        coarse, hop_samples = coarse_generator, frames_per_latent * encoder.hop_samples
        pairs.append(("latent_size", latent_size, "coarse_generator.latent_size", coarse.latent_size))
        pairs.append(("samples per z", hop_samples, "coarse_generator.hop_samples", coarse.hop_samples))
        pairs.append(("channels", channels, "coarse_generator.channels", coarse.channels))
    for name, value, other_name, other in pairs:
        if value != other:
            raise OptionError(f"VAE: {name} is {value} but {other_name} is {other}", "make them equal")
