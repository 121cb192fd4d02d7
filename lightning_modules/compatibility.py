"""Whether the parts of a model fit each other: errors before the first step, naming both sides."""

from typing import Protocol

from lightning_modules.errors import OptionError
from lightning_modules.losses.adversary import Adversary
from lightning_modules.losses.feature_mapping import FeatureMapping
from lightning_modules.losses.spectral import SpectralLoss
from lightning_modules.losses.transcription import NoteMapping
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import Decoder
from lightning_modules.networks.encoder import Encoder
from lightning_modules.networks.feature_encoder import FeatureEncoder
from lightning_modules.networks.generator import FeatureGenerator, LatentGenerator
from lightning_modules.networks.heads import FeatureHead, ScoreHead
from lightning_modules.networks.note_generator import NoteGenerator
from lightning_modules.networks.transcriber import NoteConverter
from lightning_modules.networks.trunk import Trunk
from lightning_modules.networks.trunk_transcriber import TrunkTranscriber


class WaveGANParts(Protocol):
    """The arguments of a WaveGAN that must agree; see there."""

    sample_rate: int
    clip_samples: int
    channels: int
    generator: LatentGenerator | FeatureGenerator | NoteGenerator
    trunk: Trunk
    score_head: ScoreHead
    feature_encoder: FeatureEncoder | None
    feature_head: FeatureHead | None
    feature_mapping: FeatureMapping | None
    transcriber: NoteConverter | None
    note_mapping: NoteMapping | None
    encoder_weight: float
    feature_matching_weight: float
    spectral_loss: SpectralLoss | None
    is_conditional: bool
    has_critic: bool


def check_vae(
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


def check_adversary(adversary: Adversary, channels: int) -> None:
    """Make sure that critics read the audio of a model of C channels, and their heads the critics' maps.

    Raises:
        OptionError: Naming the first two values that differ.
    """
    trunk, head = adversary.trunk, adversary.score_head
    pairs: list[tuple[str, object, str, object]] = [
        ("channels", channels, "adversary.channels", trunk.channels),
        ("score_head.hidden_sizes", head.hidden_sizes, "trunk.hidden_sizes", trunk.hidden_sizes),
    ]
    for name, value, other_name, other in pairs:
        if value != other:
            raise OptionError(f"VAE: {name} is {value} but {other_name} is {other}", "make them equal")


def check_wavegan(model: WaveGANParts) -> None:
    """Check what a WaveGAN was given.

    Raises:
        OptionError: If a part is missing, cannot be used in this mode, or does not fit another one.
    """
    check_presence(model)
    for name, value, other_name, other in pairs_that_must_agree(model):
        if value != other:
            raise OptionError(
                f"WaveGAN: {name} is {value} but {other_name} is {other}", "set both to the same value"
            )


def require_latent_generator(
    generator: LatentGenerator | FeatureGenerator | NoteGenerator,
) -> LatentGenerator:
    """`generator`, if it makes audio from nothing.

    Raises:
        OptionError: If it needs features or notes.
    """
    if isinstance(generator, LatentGenerator):
        return generator
    if isinstance(generator, NoteGenerator):
        raise OptionError(
            f"{type(generator).__name__} makes audio from notes only: this model cannot sample",
            "render a MIDI file with it, or use an unconditional generator",
        )
    raise OptionError(
        f"{type(generator).__name__} makes audio from features only: this model cannot sample",
        "use reconstruct(waveform), or an unconditional generator",
    )


def pairs_that_must_agree(model: WaveGANParts) -> list[tuple[str, object, str, object]]:
    """(name, value, other name, other value) of options that mean the same."""
    generator, encoder, head, trunk = model.generator, model.feature_encoder, model.feature_head, model.trunk
    pairs: list[tuple[str, object, str, object]] = [
        ("channels", model.channels, "generator.channels", generator.channels),
        ("channels", model.channels, "trunk.channels", trunk.channels),
        ("score_head.hidden_sizes", model.score_head.hidden_sizes, "trunk.hidden_sizes", trunk.hidden_sizes),
    ]
    if trunk.clip_samples is not None:
        pairs.append(("clip_samples", model.clip_samples, "trunk.clip_samples", trunk.clip_samples))
    if isinstance(generator, LatentGenerator):
        pairs.append(("clip_samples", model.clip_samples, "generator.clip_samples", generator.clip_samples))
    if isinstance(generator, NoteGenerator):
        rate = generator.sample_rate
        pairs.append(("sample_rate", model.sample_rate, "generator.sample_rate", rate))
    if model.transcriber is not None:
        rate = model.transcriber.sample_rate
        pairs.append(("sample_rate", model.sample_rate, "transcriber.sample_rate", rate))
    if isinstance(model.transcriber, TrunkTranscriber):
        for name in ("clip_samples", "model_size"):
            value, other = getattr(trunk, name, None), getattr(model.transcriber, name)
            pairs.append((f"trunk.{name}", value, f"transcriber.{name}", other))
    if encoder is None:
        return pairs
    rate = encoder.sample_rate or model.sample_rate
    pairs.append(("sample_rate", model.sample_rate, "feature_encoder.sample_rate", rate))
    pairs.append(("channels", model.channels, "feature_encoder.channels", encoder.channels))
    if isinstance(generator, FeatureGenerator):
        for name in ("feature_size", "hop_samples"):
            value, other = getattr(encoder, name), getattr(generator, name)
            pairs.append((f"feature_encoder.{name}", value, f"generator.{name}", other))
    if head is not None:
        hop_name = "feature_head.frames_per_step * feature_encoder.hop_samples"
        hop = head.frames_per_step * encoder.hop_samples
        size = encoder.feature_size
        pairs.append(("feature_head.hidden_size", head.hidden_size, "trunk's", trunk.hidden_sizes[0]))
        pairs.append(("feature_head.feature_size", head.feature_size, "feature_encoder.feature_size", size))
        pairs.append((hop_name, hop, "trunk.hop_samples", trunk.hop_samples))
    return pairs


def check_presence(model: WaveGANParts) -> None:
    """Raise an OptionError if a part is missing, or is one that this mode cannot use."""
    conditional, mapping, generator = model.is_conditional, model.feature_mapping, model.generator
    pairs_only = [name for name in ("spectral_loss", "feature_matching_weight") if getattr(model, name)]
    hop = 1
    if isinstance(generator, FeatureGenerator):
        hop = generator.hop_samples
    elif isinstance(generator, NoteGenerator):
        hop = generator.clip_multiple
    no_counterpart = "nothing it generates has a real counterpart"
    rules = [
        (
            isinstance(generator, FeatureGenerator) and model.feature_encoder is None,
            "a FeatureGenerator but no feature_encoder",
            "give one, for instance LogMelFeatures",
        ),
        (
            (model.feature_head is None) != (mapping is None),
            "one of feature_head (F) and feature_mapping without the other",
            "give both or neither",
        ),
        (
            model.feature_head is not None and model.feature_encoder is None,
            "a feature_head (F) but no feature_encoder to say what it should give",
            "give one, for instance LogMelFeatures",
        ),
        (
            model.transcriber is not None and not isinstance(generator, NoteGenerator),
            f"a transcriber, but {type(generator).__name__} makes nothing from notes",
            "leave it out, or use a NoteGenerator",
        ),
        (
            model.transcriber is not None and model.feature_head is not None,
            "a transcriber and a feature_head: two converters F",
            "give one of them",
        ),
        (
            (model.transcriber is None) != (model.note_mapping is None),
            "one of transcriber (F) and note_mapping without the other",
            "give both or neither",
        ),
        (
            bool(model.encoder_weight) and mapping is None,
            f"encoder_weight={model.encoder_weight} but no feature_mapping to weight",
            "give feature_head and feature_mapping, or leave it out",
        ),
        (
            not conditional and mapping is not None and mapping.paired,
            f"a LatentGenerator, but {type(mapping).__name__} compares pairs and {no_counterpart}",
            "use FeatureStatistics, or a FeatureGenerator or NoteGenerator",
        ),
        (
            not conditional and bool(pairs_only),
            f"a LatentGenerator, but {' and '.join(pairs_only)} compares pairs and {no_counterpart}",
            "leave it out, or use a FeatureGenerator or NoteGenerator",
        ),
        (
            not model.has_critic and model.spectral_loss is None,
            "neither a critic's loss with a weight above 0 nor a spectral_loss: nothing would train G",
            "set adversarial_weight above 0, or give a spectral_loss to a conditional model",
        ),
        (
            model.clip_samples % hop != 0,
            f"clip_samples={model.clip_samples}, which is no whole number of the generator's {hop} per frame",
            f"set data.init_args.clip_samples to a multiple of {hop}",
        ),
    ]
    for is_wrong, what, remedy in rules:
        if is_wrong:
            raise OptionError(f"WaveGAN has {what}", remedy)
