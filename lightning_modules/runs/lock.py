"""One process at a time trains in a run's folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datamodules.files import HeldError, lock_file
from lightning_modules.errors import RunError

LOCK_NAME = ".lock"


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained in; the operating system frees it if this process dies.

    On file systems without locks nothing is held, which is said.

    Args:
        folder: The run's folder, which exists.

    Raises:
        RunError: If another process trains in it, naming that process.
    """
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(folder / LOCK_NAME))
        except HeldError as error:
            raise _in_use(folder, error.holder) from error
        except OSError as error:
            reason = error.strerror or error
            print(f"warning: {folder} cannot be locked ({reason}): start no second process in it", flush=True)
        yield


def _in_use(folder: Path, holder: str) -> RunError:
    if holder:
        return RunError(
            f"The run {folder} is being trained by {holder}",
            "wait for it, or stop it; or start another run with another --run_id",
        )
    return RunError(
        f"{folder / LOCK_NAME} is reported as locked, but no running process says that it holds it",
        "if none trains there, the file system has no locks that work: give a folder on a local disk with "
        "--runs_dir",
    )
