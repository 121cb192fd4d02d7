"""How much memory a training step takes, and how many clips fit into a device."""

WEIGHT_BYTES = 16
"""Of each weight in training: itself, its gradient and Adam's two moments, in float32."""
SHARE = 0.7
"""Of a device's memory that is counted on; the rest goes to the library, its buffers and fragments."""


def training_bytes(num_weights: int, clip_bytes: int, num_clips: int) -> int:
    """Memory of one training step: the weights with what belongs to each, and what is kept of each clip.

    Args:
        num_weights: Trained weights.
        clip_bytes: What a step keeps of one clip for its backward pass.
        num_clips: Clips in a batch.
    """
    return WEIGHT_BYTES * num_weights + clip_bytes * num_clips


def largest_batch(memory_bytes: int, num_weights: int, clip_bytes: int) -> int:
    """Clips that fit into a device at a time, a power of two; 0 if none does.

    Args:
        memory_bytes: Of the device.
        num_weights: As in `training_bytes`.
        clip_bytes: As in `training_bytes`.
    """
    room = int(SHARE * memory_bytes) - training_bytes(num_weights, clip_bytes, 0)
    fitting = max(room // clip_bytes, 0)
    return 1 << (fitting.bit_length() - 1) if fitting else 0
