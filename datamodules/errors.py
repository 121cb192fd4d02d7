"""Errors of the data path: what is wrong, which value, and what to do about it."""


class DataError(Exception):
    """Something about the data, or an option that describes it, cannot be used.

    The text always has three parts: what is wrong, the value that was received, and the remedy.

    Args:
        problem: What is wrong, naming the option or the file and the value received.
        remedy: What the user can do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n  What to do: {remedy}")
        self.problem = problem
        self.remedy = remedy


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


class OptionError(DataError, ValueError):
    """An option of the data module has a value that makes no sense."""
