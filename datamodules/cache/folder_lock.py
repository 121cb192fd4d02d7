"""One process at a time makes a folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datamodules.cache.progress import say
from datamodules.errors import CacheError
from datamodules.files import HeldError, NoLocksError, lock_file_in_turn


@contextmanager
def single_writer(folder: Path, progress: bool = True) -> Iterator[None]:
    """Hold the lock of a folder that is being made; the operating system frees it if this process dies.

    Args:
        folder: The folder; the lock is a file beside it.
        progress: Whether to say that another process is being waited for.

    Raises:
        CacheError: If the file system has no locks that work.
        OSError: If the file cannot be made.
    """
    path = Path(f"{folder}.lock")

    def tell(holder: str) -> None:
        who = f" It is {holder}." if holder else ""
        text = f"Another process is preparing {Path(folder).name}; waiting for it to finish.{who}"
        say(text, progress)

    with ExitStack() as held:
        try:
            held.enter_context(lock_file_in_turn(path, tell))
        except (HeldError, NoLocksError) as error:
            reason = getattr(error, "strerror", "it is reported as locked, but no running process holds it")
            raise CacheError(
                f"cannot lock {path}: {reason}",
                "the file system there has no locks that work: set `cache_dir` to a local disk, or prepare "
                "the cache once on a local disk with `lightning prepare` and copy it there",
            ) from error
        yield
