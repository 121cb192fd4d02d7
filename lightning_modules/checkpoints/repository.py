"""A model as a folder that others read too: weights as safetensors, the description as JSON, a model card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from datamodules.files import write_atomically
from lightning_modules.errors import CheckpointError, InstallationError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "README.md"
NAMES = (CONFIG_NAME, WEIGHTS_NAME, CARD_NAME)
"""All that is written, and all that is read."""
LARGEST_CONFIG_BYTES = 2**20
PIP = 'pip install -e ".[hub]"'


def write_repository(
    folder: Path, content: Mapping[str, Any], weights: Mapping[str, torch.Tensor], step: int | None, card: str
) -> None:
    """Write a model; a file that is there already is replaced.

    Args:
        folder: Made if absent.
        content: What a checkpoint says of itself; see `describe_module`.
        weights: By name.
        step: Optimiser steps of the training.
        card: Markdown.

    Raises:
        InstallationError: If safetensors is missing.
    """
    save = _safetensors().save
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**content, "global_step": step}, indent=2)
    write_atomically(folder / CONFIG_NAME, f"{text}\n".encode())
    # weights may share memory, which the format refuses
    copies = {name: weight.detach().cpu().clone().contiguous() for name, weight in weights.items()}
    write_atomically(folder / WEIGHTS_NAME, save(copies, metadata={"format": "pt"}))
    write_atomically(folder / CARD_NAME, card.encode(errors="replace"))


def read_repository(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description and the weights in a folder; no other file of it is opened, and nothing in it is run.

    Raises:
        CheckpointError: If a file is missing, damaged, or not what this program writes.
        InstallationError: If safetensors is missing.
    """
    load = _safetensors().load
    missing = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} holds no {missing[0]}",
            "give a folder that `push_to_hub` or `save_pretrained` wrote; pickled weights are not opened",
        )
    config = folder / CONFIG_NAME
    try:
        if config.stat().st_size > LARGEST_CONFIG_BYTES:
            raise ValueError(f"more than {LARGEST_CONFIG_BYTES:,} bytes")
        content = json.loads(config.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no table")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{config} cannot be read ({error})", "fetch it again") from error
    try:
        return content, load((folder / WEIGHTS_NAME).read_bytes())
    except Exception as error:  # safetensors' own kind, and what else a damaged file leads to
        raise CheckpointError(f"{folder / WEIGHTS_NAME} is damaged ({error})", "fetch it again") from error


def _safetensors() -> Any:  # noqa: ANN401 (a module)
    try:
        import safetensors.torch
    except ImportError as error:
        raise InstallationError("The package safetensors is missing", PIP) from error
    return safetensors.torch
