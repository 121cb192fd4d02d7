"""Notes of audio of any length, block by block, by the transcriber of a model."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.audio.notes import HeardNotes
from lightning_modules.base import GenerativeModule
from lightning_modules.errors import OptionError
from lightning_modules.networks.note_picker import NotePicker
from lightning_modules.networks.transcriber import NoteLogits, Transcriber


def transcriber_of(module: GenerativeModule) -> Transcriber:
    """The model's transcriber.

    Raises:
        OptionError: If it has none.
    """
    found = getattr(module, "transcriber", None)
    if not isinstance(found, Transcriber):
        raise OptionError(
            f"This {type(module).__name__} does not transcribe: it was trained without a transcriber",
            "use a checkpoint of a WaveGAN with a transcriber, as experiments/transcriber.yaml trains one",
        )
    return found


@torch.no_grad()
def transcribe(
    transcriber: Transcriber, chunks: Iterable[NDArray[np.float32]], block_seconds: float = 20.0
) -> HeardNotes:
    """The notes of a stream of audio; they are those of the whole, however it is cut into chunks and blocks.

    Memory holds a block and the notes. The network looks at neighbouring blocks as far as it looks at all.

    Args:
        transcriber: In evaluation mode.
        chunks: (C, T) each, at the transcriber's rate.
        block_seconds: Length of a block.
    """
    hop, context = transcriber.hop_samples, transcriber.context_frames
    block = max(round(block_seconds * transcriber.sample_rate / hop), 1)  # frames
    device = transcriber.onset_threshold.device
    picker = NotePicker(transcriber)
    held, pending = (
        np.zeros((1, 0), dtype=np.float32),
        0,
    )  # samples, and frames at their beginning that are done
    for chunk in chunks:
        held = np.concatenate([held, chunk.mean(0, keepdims=True)], axis=1)
        while held.shape[1] >= (length := (pending + block + context) * hop):
            logits = transcriber(torch.from_numpy(held[None, :, :length]).to(device))
            picker.add(NoteLogits(*(part[..., pending : pending + block] for part in logits)))
            kept = max(pending + block - context, 0)  # the next block looks back at these
            held, pending = held[:, kept * hop :], pending + block - kept
    if held.shape[1]:
        logits = transcriber(torch.from_numpy(held[None]).to(device))
        picker.add(NoteLogits(*(part[..., pending:] for part in logits)))
    return picker.notes()
