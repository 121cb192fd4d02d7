"""Errors that are the user's to fix: what is wrong, which value, what to do. Printed without a traceback."""


class ExperimentError(Exception):
    """An option, a folder or a file cannot be used.

    The text always has three parts: what is wrong, the value that was received, and the remedy.

    Args:
        problem: What is wrong, naming the option or the file and the value received.
        remedy: What the user can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n  What to do: {remedy}")
        self.problem = problem
        self.remedy = remedy


class OptionError(ExperimentError, ValueError):
    """An option has a value that makes no sense."""


class DataError(ExperimentError):
    """Something about the data cannot be used."""


class ReleaseError(DataError):
    """A release's folder, its metadata or one of its files is missing or inconsistent."""


class AbsentError(ReleaseError):
    """A server says that there is no such file, or none for us."""


class AudioError(DataError):
    """One recording cannot be used: absent, truncated, empty, NaN, or of an unsupported format."""


class CorruptMemberError(AudioError):
    """The bytes of an archive's member are not those that its directory promises; fetching again may help."""


class CacheError(DataError):
    """The PCM cache cannot be read, written or trusted."""


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


class InstallationError(ExperimentError):
    """An installed package cannot be loaded."""
