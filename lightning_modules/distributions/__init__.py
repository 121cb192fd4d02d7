"""The probability distributions of the VAE: posterior, priors, likelihoods."""

from lightning_modules.distributions.autoregressive_prior import AutoregressivePrior
from lightning_modules.distributions.likelihoods import (
    BandGaussianLikelihood,
    GaussianLikelihood,
    LevelGaussianLikelihood,
    Likelihood,
)
from lightning_modules.distributions.mixture import DiagonalMixture
from lightning_modules.distributions.mixture_priors import GaussianMixture, MixturePrior, VampPrior
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import HasPrior, Prior, StandardNormal

__all__ = [
    "AutoregressivePrior",
    "BandGaussianLikelihood",
    "DiagonalGaussian",
    "DiagonalMixture",
    "GaussianLikelihood",
    "GaussianMixture",
    "HasPrior",
    "LevelGaussianLikelihood",
    "Likelihood",
    "MixturePrior",
    "Prior",
    "StandardNormal",
    "VampPrior",
]
