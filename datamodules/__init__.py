"""MAESTRO as PyTorch Lightning data modules."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.maestro import MaestroDataModule

__all__ = ["MaestroDataModule"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import Lightning only when the data module is asked for.

    The processes that render the embedded release import this package too, and start in a fraction of a
    second instead of several.
    """
    if name == "MaestroDataModule":
        from datamodules.maestro import MaestroDataModule

        return MaestroDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
