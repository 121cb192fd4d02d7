"""Callbacks: they know the contract in `base` and the Trainer, and nothing of any one model."""

from lightning_modules.callbacks.audio_logger import AudioLogger
from lightning_modules.callbacks.comparison import ClipValues, PairedComparison, SetComparison
from lightning_modules.callbacks.ema import EMA
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.callbacks.gradients import GradientNorm
from lightning_modules.callbacks.guard import GradientGuard
from lightning_modules.callbacks.health import Health
from lightning_modules.callbacks.listening_report import ClipChoice, ListeningReport
from lightning_modules.callbacks.note_comparison import EvenlySpread, NoteComparison
from lightning_modules.callbacks.piece_logger import PieceLogger
from lightning_modules.callbacks.prediction_writer import PredictionWriter
from lightning_modules.callbacks.symptoms import Symptom
from lightning_modules.callbacks.throughput import Throughput
from lightning_modules.callbacks.validation_samples import ValidationSamples

__all__ = [
    "EMA",
    "AudioLogger",
    "ClipChoice",
    "ClipValues",
    "Evaluation",
    "EvenlySpread",
    "GradientGuard",
    "GradientNorm",
    "Health",
    "ListeningReport",
    "NoteComparison",
    "PairedComparison",
    "PieceLogger",
    "PredictionWriter",
    "SetComparison",
    "Symptom",
    "Throughput",
    "ValidationSamples",
]
