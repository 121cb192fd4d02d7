"""Pure `nn.Module`s, injected into the LightningModules by `class_path`."""

from lightning_modules.networks.blocks import ConvNeXtBlock
from lightning_modules.networks.causal import CausalBlock, CausalNetwork
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import ConvNeXtDecoder, Decoder, StridedDecoder
from lightning_modules.networks.encoder import ConvNeXtEncoder, Encoder, StridedEncoder
from lightning_modules.networks.feature_encoder import ConvolutionalFeatures, FeatureEncoder, LogMelFeatures
from lightning_modules.networks.generator import (
    FeatureGenerator,
    LatentGenerator,
    TransposedStack,
    WaveGANGenerator,
    WaveGANVocoder,
)
from lightning_modules.networks.heads import (
    ConvolutionalScoreHead,
    DenseScoreHead,
    FeatureHead,
    LinearFeatureHead,
    ScoreHead,
    WaveGANFeatureHead,
    WaveGANScoreHead,
)
from lightning_modules.networks.interval_attention import IntervalAttention
from lightning_modules.networks.key_curve import KeyCurve
from lightning_modules.networks.leaky_relu import LeakyReLU
from lightning_modules.networks.note_generator import NoteGenerator
from lightning_modules.networks.note_noise import NoteNoise
from lightning_modules.networks.note_picker import NotePicker
from lightning_modules.networks.note_roll_generator import NoteRollGenerator
from lightning_modules.networks.note_transformer import NoteTransformer, TransformerBlock
from lightning_modules.networks.partials import Components
from lightning_modules.networks.phase_shuffle import PhaseShuffle
from lightning_modules.networks.piano import DifferentiablePiano, Moments
from lightning_modules.networks.piano_tone import PianoTone, Tone
from lightning_modules.networks.residual_unit import ResidualUnit, Snake
from lightning_modules.networks.room import Room
from lightning_modules.networks.spectrogram_trunk import PlaneScoreHead, SpectrogramCritic, SpectrogramTrunk
from lightning_modules.networks.strided_convolution import (
    Convolve,
    ConvolveTransposed,
    Correlate,
    StridedConvolution,
    StridedTransposedConvolution,
)
from lightning_modules.networks.transcriber import (
    LogFrequencySpectrogram,
    NoteConverter,
    NoteLogits,
    Transcriber,
)
from lightning_modules.networks.trunk import (
    ConvolutionalCritic,
    HiFiGANTrunk,
    MelGANTrunk,
    MultiScaleTrunk,
    PeriodTrunk,
    Trunk,
    WaveGANTrunk,
)
from lightning_modules.networks.trunk_transcriber import TrunkTranscriber
from lightning_modules.networks.vocoders import (
    HiFiGANGenerator,
    HiFiGANResidual,
    Mean,
    MelGANGenerator,
    MelGANResidual,
    UpsamplingVocoder,
)
from lightning_modules.networks.waveform_head import FullyConnectedHead, InverseSTFTHead, WaveformHead
from lightning_modules.networks.wavelet import WaveletDecoder, WaveletEncoder, WaveletPackets

__all__ = [
    "CausalBlock",
    "CausalNetwork",
    "CoarseGenerator",
    "Components",
    "ConvNeXtBlock",
    "ConvNeXtDecoder",
    "ConvNeXtEncoder",
    "ConvolutionalCritic",
    "ConvolutionalFeatures",
    "ConvolutionalScoreHead",
    "Convolve",
    "ConvolveTransposed",
    "Correlate",
    "Decoder",
    "DenseScoreHead",
    "DifferentiablePiano",
    "Encoder",
    "FeatureEncoder",
    "FeatureGenerator",
    "FeatureHead",
    "FullyConnectedHead",
    "HiFiGANGenerator",
    "HiFiGANResidual",
    "HiFiGANTrunk",
    "IntervalAttention",
    "InverseSTFTHead",
    "KeyCurve",
    "LatentGenerator",
    "LeakyReLU",
    "LinearFeatureHead",
    "LogFrequencySpectrogram",
    "LogMelFeatures",
    "Mean",
    "MelGANGenerator",
    "MelGANResidual",
    "MelGANTrunk",
    "Moments",
    "MultiScaleTrunk",
    "NoteConverter",
    "NoteGenerator",
    "NoteLogits",
    "NoteNoise",
    "NotePicker",
    "NoteRollGenerator",
    "NoteTransformer",
    "PeriodTrunk",
    "PhaseShuffle",
    "PianoTone",
    "PlaneScoreHead",
    "ResidualUnit",
    "Room",
    "ScoreHead",
    "Snake",
    "SpectrogramCritic",
    "SpectrogramTrunk",
    "StridedConvolution",
    "StridedDecoder",
    "StridedEncoder",
    "StridedTransposedConvolution",
    "Tone",
    "Transcriber",
    "TransformerBlock",
    "TransposedStack",
    "Trunk",
    "TrunkTranscriber",
    "UpsamplingVocoder",
    "WaveGANFeatureHead",
    "WaveGANGenerator",
    "WaveGANScoreHead",
    "WaveGANTrunk",
    "WaveGANVocoder",
    "WaveformHead",
    "WaveletDecoder",
    "WaveletEncoder",
    "WaveletPackets",
]
