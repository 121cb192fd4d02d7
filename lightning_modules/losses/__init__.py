"""Loss terms: each states its reduction; only the LightningModule weights them."""

from lightning_modules.losses.adversarial import (
    AdversarialLoss,
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    Verdict,
    WassersteinLoss,
)
from lightning_modules.losses.elbo import ELBO
from lightning_modules.losses.feature_mapping import FeatureMapping, FeatureStatistics, PairedFeatureDistance
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.losses.log_mel import LogMelLoss
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss, SpectralLoss
from lightning_modules.losses.terms import Term
from lightning_modules.losses.transcription import NoteMapping, NoteTargets, TranscriptionLosses

__all__ = [
    "ELBO",
    "AdversarialLoss",
    "FeatureMapping",
    "FeatureStatistics",
    "GradientPenalty",
    "HingeLoss",
    "LeastSquaresLoss",
    "LogMelLoss",
    "MultiResolutionSTFTLoss",
    "NonSaturatingLoss",
    "NoteMapping",
    "NoteTargets",
    "PairedFeatureDistance",
    "SpectralLoss",
    "Term",
    "TranscriptionLosses",
    "Verdict",
    "WassersteinLoss",
]
