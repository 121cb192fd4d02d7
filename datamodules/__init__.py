"""MAESTRO, and folders of other recordings, as PyTorch Lightning data modules."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.audio_folder import AudioFolderDataModule
    from datamodules.maestro import MaestroDataModule
    from datamodules.maestro_notes import MaestroNotesDataModule

__all__ = ["AudioFolderDataModule", "MaestroDataModule", "MaestroNotesDataModule"]

_MODULES = {
    "AudioFolderDataModule": "datamodules.audio_folder",
    "MaestroDataModule": "datamodules.maestro",
    "MaestroNotesDataModule": "datamodules.maestro_notes",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import Lightning only when the data module is asked for.

    The processes that render the embedded release import this package too, and start in a fraction of a
    second instead of several.
    """
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
