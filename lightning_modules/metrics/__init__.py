"""Metrics: `functional` holds the formulas, the classes accumulate them over an epoch."""

from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.distances import Moments
from lightning_modules.metrics.embeddings import (
    ClapEmbedding,
    CrepeEmbedding,
    Embedding,
    LogMelStatistics,
    TranskunEmbedding,
)
from lightning_modules.metrics.float64 import Float64Metric
from lightning_modules.metrics.frechet import Diversity, EmbeddedClips, FrechetLogMel
from lightning_modules.metrics.functional import EnergySums
from lightning_modules.metrics.intervals import Interval
from lightning_modules.metrics.reconstruction import (
    ChromaSimilarity,
    ClipMean,
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
    StereoCorrelationDistance,
    StereoLevelDistance,
)
from lightning_modules.metrics.transcription import NoteListener

__all__ = [
    "ActiveUnits",
    "ChromaSimilarity",
    "ClapEmbedding",
    "ClipMean",
    "CrepeEmbedding",
    "Diversity",
    "EmbeddedClips",
    "Embedding",
    "EnergySums",
    "Float64Metric",
    "FrechetLogMel",
    "Interval",
    "LogMelDistance",
    "LogMelStatistics",
    "Moments",
    "MultiScaleSpectralDistance",
    "NoteListener",
    "ScaleInvariantSDR",
    "StereoCorrelationDistance",
    "StereoLevelDistance",
    "TranskunEmbedding",
]
