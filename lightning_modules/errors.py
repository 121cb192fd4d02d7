"""Errors that are the user's to fix: printed as one paragraph, without a traceback."""


class ExperimentError(Exception):
    """An option, a folder or a file of an experiment cannot be used.

    Args:
        problem: What is wrong, naming the option or the file and the value received.
        remedy: What the user can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n  What to do: {remedy}")
        self.problem = problem
        self.remedy = remedy


class OptionError(ExperimentError, ValueError):
    """An option of a model, a role or a callback has a value that makes no sense."""


class RunError(ExperimentError):
    """A run folder cannot be made, found or continued."""


class CheckpointError(ExperimentError):
    """A checkpoint cannot be described, opened or trusted."""


class SweepError(ExperimentError):
    """A sweep file cannot be used, or a sweep cannot go on."""


class AudioFileError(ExperimentError):
    """A sound file cannot be read, or audio cannot be written."""


class ReportError(ExperimentError):
    """A report cannot be made of what is on disk."""


class ExportError(ExperimentError):
    """A model cannot be exported, or the exported one is not the same."""
