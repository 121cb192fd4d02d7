"""MAESTRO as PyTorch Lightning data modules."""

from datamodules.maestro import MaestroDataModule

__all__ = ["MaestroDataModule"]
