"""Folders of models to and from the Hugging Face Hub, by its own client."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from lightning_modules.checkpoints.repository import (
    CONFIG_NAME,
    LARGEST_CONFIG_BYTES,
    NAMES,
    PIP,
    WEIGHTS_NAME,
)
from lightning_modules.errors import CheckpointError, InstallationError

ENDPOINT = "HF_ENDPOINT"
"""Environment variable that names another server than the official one."""
LARGEST_BYTES = {CONFIG_NAME: LARGEST_CONFIG_BYTES, WEIGHTS_NAME: 2**32}
"""Of the files that are fetched; a billion weights are 4 GiB."""
STALL_SECONDS, STALL_BYTES = 600.0, 2**20
"""A server that takes longer for so many bytes, or for a file that has fewer, is given up."""


def fetched(name: str, revision: str | None = None) -> Path:
    """The folder of a model: the one of that name on disk, or a copy of the Hub's.

    Only the files that this program reads are fetched, into a folder in which the server chooses no name.

    Args:
        name: A folder, or `user/name`.
        revision: Branch, tag or commit; the newest by default.

    Raises:
        CheckpointError: If there is none, the Hub cannot be reached, or it sends too much or too slowly.
        InstallationError: If huggingface_hub is missing.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    client = _client()
    try:
        folder = client.cached_assets_path(
            "maestro-lightning",
            f"models--{name}",
            f"revision--{revision or 'main'}",
            assets_dir=client.constants.HF_ASSETS_CACHE,
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} cannot be fetched ({_reason(error)})", _REMEDY) from error
    for file in LARGEST_BYTES:
        try:
            _fetch(client, name, revision, file, folder)
        except client.errors.RemoteEntryNotFoundError as error:
            raise CheckpointError(f"{name} holds no {file}: no model of this program", _REMEDY) from error
        except _TooMuchError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise CheckpointError(f"{name} cannot be fetched ({error})", _REMEDY) from error
        except Exception as error:  # of httpx, of the Hub, of the disk, and of names that make no sense
            raise CheckpointError(f"{name} cannot be fetched ({_reason(error)})", _REMEDY) from error
    return folder


class _TooMuchError(Exception):
    """A server sends more than a file may hold."""


class _Watch:
    """How much of a file has come, and when there was progress.

    Args:
        file: Its name.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.moved_at, self.moved_bytes = time.monotonic(), 0

    def expect(self, num_bytes: int) -> None:
        """Look at the size that a server promises.

        Raises:
            _TooMuchError: If it is more than the file may have.
        """
        if num_bytes > LARGEST_BYTES[self.file]:
            most = f"{LARGEST_BYTES[self.file]:,} bytes"
            raise _TooMuchError(
                f"the server sends {num_bytes:,} bytes or more of {self.file}, and {most} are read"
            )

    def receive(self, num_bytes: int) -> None:
        """Look at the size that a file has by now.

        Raises:
            _TooMuchError: If they are more than the file may hold.
            TimeoutError: If they come too late, which ends a download that was given up.
        """
        self.require_progress()
        self.expect(num_bytes)
        if num_bytes - self.moved_bytes >= STALL_BYTES:
            self.moved_at, self.moved_bytes = time.monotonic(), num_bytes

    def require_progress(self) -> None:
        """Raise a TimeoutError if there was none for `STALL_SECONDS`."""
        if time.monotonic() - self.moved_at > STALL_SECONDS:
            raise TimeoutError(f"the server sent less than {STALL_BYTES:,} bytes in {STALL_SECONDS:g} s")


def _fetch(client: ModuleType, name: str, revision: str | None, file: str, folder: Path) -> None:
    """Bring a file of a repository up to date."""
    watch = _Watch(file)

    class Bar(client.utils.tqdm):  # type: ignore[name-defined]  # known at run time only
        """The client's progress bar, which is told of all that comes; some downloads have two of them."""

        def __init__(
            self, *args: object, total: float | None = None, initial: float = 0, **options: object
        ) -> None:
            watch.expect(int(total or 0))
            self.received = int(initial)
            super().__init__(*args, total=total, initial=initial, **options)

        def update(self, n: float = 1) -> bool | None:
            self.received += int(n)
            watch.receive(self.received)
            shown: bool | None = super().update(n)
            return shown

    def download() -> None:
        client.hf_hub_download(
            name,
            file,
            revision=revision,
            endpoint=os.environ.get(ENDPOINT),
            local_dir=folder,
            tqdm_class=Bar,
        )

    _watched(download, watch)


def _watched(download: Callable[[], None], watch: _Watch) -> None:
    """Run a download for as long as there is progress: the client itself waits for ever for slow bytes."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            download()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)  # once given up, it must not keep Python from ending
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        watch.require_progress()
    if failures:
        raise failures[0]


def uploaded(folder: Path, name: str, private: bool = False) -> str:
    """Send a folder to the Hub, as the one commit that it says.

    Args:
        folder: What to send.
        name: `user/name`; made if there is none.
        private: Whether only its owner sees it.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: If that fails.
        InstallationError: If huggingface_hub is missing.
    """
    client = _client()
    try:
        api = client.HfApi(endpoint=os.environ.get(ENDPOINT))
        api.create_repo(name, private=private, exist_ok=True)
        made = api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=list(NAMES), commit_message="Upload the model"
        )
    except Exception as error:  # of httpx, of the Hub, and of names that make no sense
        raise CheckpointError(
            f"{name} cannot be uploaded ({_reason(error)})", "log in with `hf auth login`, and give user/name"
        ) from error
    return str(made.commit_url)


_REMEDY = "give a folder, or user/name of a model on the Hub that `push_to_hub` made"


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _client() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InstallationError("The package huggingface_hub is missing", PIP) from error
    return huggingface_hub
