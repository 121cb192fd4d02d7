"""Folders of models to and from the Hugging Face Hub, by its own client."""

import os
from pathlib import Path
from types import ModuleType

from lightning_modules.checkpoints.repository import CONFIG_NAME, NAMES, PIP
from lightning_modules.errors import CheckpointError, InstallationError

ENDPOINT = "HF_ENDPOINT"
"""Environment variable that names another server than the official one."""


def fetched(name: str, revision: str | None = None) -> Path:
    """The folder of a model: the one of that name on disk, or a copy of the Hub's.

    Only the files that this program reads are fetched.

    Args:
        name: A folder, or `user/name`.
        revision: Branch, tag or commit; the newest by default.

    Raises:
        CheckpointError: If there is none, or the Hub cannot be reached.
        InstallationError: If huggingface_hub is missing.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    client = _client()
    try:
        folder = client.snapshot_download(
            name, revision=revision, allow_patterns=list(NAMES), endpoint=os.environ.get(ENDPOINT)
        )
    except Exception as error:  # of httpx, of the Hub, of the disk, and of names that make no sense
        raise CheckpointError(f"{name} cannot be fetched ({_reason(error)})", _REMEDY) from error
    if not (Path(folder) / CONFIG_NAME).is_file():
        raise CheckpointError(f"{name} holds no {CONFIG_NAME}: no model of this program", _REMEDY)
    return Path(folder)


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
