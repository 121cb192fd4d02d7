"""Errors that are the user's to fix; defined in `datamodules.errors`, which both packages share."""

from datamodules.errors import (
    AudioFileError,
    CheckpointError,
    ExperimentError,
    ExportError,
    InstallationError,
    OptionError,
    ReportError,
    RunError,
    SweepError,
)

__all__ = [
    "AudioFileError",
    "CheckpointError",
    "ExperimentError",
    "ExportError",
    "InstallationError",
    "OptionError",
    "ReportError",
    "RunError",
    "SweepError",
]
