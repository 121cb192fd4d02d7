"""One process at a time trains in a run's folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from datamodules.files import read_limited, write_atomically
from lightning_modules.errors import RunError

LOCK_NAME = ".lock"
HOLDER_NAME = ".running.json"


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained in; the operating system frees it if this process dies.

    On file systems without locks nothing is held, which is said.

    Args:
        folder: The run's folder, which exists.

    Raises:
        RunError: If another process trains in it, naming that process.
    """
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
        while not (folder / LOCK_NAME).exists():  # its holder has just ended, and removed it
            lock.release()
            lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"The run {folder} is being trained by {_holder(folder)}",
            "wait for it, or stop it; or start another run with another --run_id",
        ) from error
    except (OSError, NotImplementedError) as error:
        print(f"warning: {folder} cannot be locked ({error}): start no second process in it", flush=True)
        yield
        return
    try:
        _say_who(folder)
        yield
    finally:
        for name in (HOLDER_NAME, LOCK_NAME):  # while it is still held: nobody else's
            with suppress(OSError):
                (folder / name).unlink()
        lock.release()


def _say_who(folder: Path) -> None:
    content = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().isoformat(" ", "seconds"),
    }
    with suppress(OSError):  # of a full disk: the lock is held all the same
        write_atomically(folder / HOLDER_NAME, json.dumps(content).encode())


def _holder(folder: Path) -> str:
    try:
        content = json.loads(read_limited(folder / HOLDER_NAME, 10_000))
        return f"process {content['process']} on {content['host']} since {content['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
