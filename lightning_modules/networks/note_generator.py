"""The role of a generator that makes audio from notes."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from datamodules.batch import NoteBatch


class NoteGenerator(nn.Module, ABC):
    """Network from the notes that are played to the sound of them.

    Attributes:
        sample_rate: Rate of the audio in Hz.
        channels: Audio channels C.
        block_samples: A piece made in parts that begin at multiples of this many samples, and are multiples
            of it long, is the same as made whole.
        clip_multiple: What the length of a clip must be a multiple of, in samples.
        lookahead_samples: How far ahead notes change the sound.
    """

    sample_rate: int
    channels: int
    block_samples: int
    clip_multiple: int = 1
    lookahead_samples: int = 0

    @abstractmethod
    def forward(self, notes: NoteBatch, num_samples: int) -> Tensor:
        """Synthesise.

        Args:
            notes: Notes of B clips, those struck before and still sounding among them.
            num_samples: Length T of the clips in samples.

        Returns:
            (B, C, T) float32.
        """
