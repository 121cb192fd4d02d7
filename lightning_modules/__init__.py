"""Generative models of piano sound as LightningModules."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_modules.base import load_module
    from lightning_modules.note_prior import NotePrior
    from lightning_modules.transcriber import PianoTranscriber
    from lightning_modules.vae import VAE
    from lightning_modules.wavegan import WaveGAN

__all__ = ["VAE", "NotePrior", "PianoTranscriber", "WaveGAN", "load_module"]

_MODULES = {
    "NotePrior": "lightning_modules.note_prior",
    "PianoTranscriber": "lightning_modules.transcriber",
    "VAE": "lightning_modules.vae",
    "WaveGAN": "lightning_modules.wavegan",
    "load_module": "lightning_modules.base",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    """Import a name when it is asked for: the command line answers `--help` without loading torch."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'lightning_modules' has no attribute {name!r}")
