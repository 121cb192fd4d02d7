"""Metrics: `functional` holds the formulas, the classes accumulate them over an epoch."""

from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.distances import Moments
from lightning_modules.metrics.embeddings import ClapEmbedding, CrepeEmbedding, Embedding, LogMelStatistics
from lightning_modules.metrics.frechet import (
    Diversity,
    EmbeddedClips,
    FrechetDistance,
    FrechetLogMel,
    KernelDistance,
)
from lightning_modules.metrics.intervals import Interval
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    OnsetFScore,
    ScaleInvariantSDR,
)

__all__ = [
    "ActiveUnits",
    "ChromaSimilarity",
    "ClapEmbedding",
    "ClipMean",
    "CrepeEmbedding",
    "Diversity",
    "EmbeddedClips",
    "Embedding",
    "FrechetDistance",
    "FrechetLogMel",
    "Interval",
    "KernelDistance",
    "LogMelDistance",
    "LogMelStatistics",
    "Moments",
    "MultiScaleSpectralDistance",
    "OnsetFScore",
    "ScaleInvariantSDR",
]
