"""Loss terms: each states its reduction; only the LightningModule weights them."""

from lightning_modules.losses.adversarial import (
    AdversarialLoss,
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    RelativisticLoss,
    Verdict,
    WassersteinLoss,
)
from lightning_modules.losses.adversary import Adversary, Judgement, SpectrogramAdversary
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
    "Adversary",
    "FeatureMapping",
    "FeatureStatistics",
    "GradientPenalty",
    "HingeLoss",
    "Judgement",
    "LeastSquaresLoss",
    "LogMelLoss",
    "MultiResolutionSTFTLoss",
    "NonSaturatingLoss",
    "NoteMapping",
    "NoteTargets",
    "PairedFeatureDistance",
    "RelativisticLoss",
    "SpectralLoss",
    "SpectrogramAdversary",
    "Term",
    "TranscriptionLosses",
    "Verdict",
    "WassersteinLoss",
]
