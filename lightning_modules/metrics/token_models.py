"""What simple models make of the same tokens, to stand beside the likelihood of a large one."""

import lzma
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

Pieces = Sequence[Sequence[int]]


def ngram_nats(training: Pieces, pieces: Pieces, order: int, vocabulary_size: int) -> float:
    """Nats of some pieces by counts of what followed the tokens before, smoothed by Witten and Bell (1991).

    Args:
        training: Pieces that the model counts.
        pieces: Pieces that it codes.
        order: How many tokens before one it looks at.
        vocabulary_size: Number of tokens V; what was never met has an even share.

    Returns:
        The sum. Order -1 is even odds.
    """
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for piece in training:
        for context, token in contexts(piece, order):
            for length in range(len(context) + 1):
                counts[context[len(context) - length :]][token] += 1
    nats = 0.0
    for piece in pieces:
        for context, token in contexts(piece, order):
            chance = 1.0 / vocabulary_size
            for length in range(len(context) + 1 if order >= 0 else 0):
                met = counts.get(context[len(context) - length :])
                if met:
                    total, kinds = met.total(), len(met)
                    chance = (met[token] + kinds * chance) / (total + kinds)
            nats -= math.log(chance)
    return nats


def contexts(piece: Sequence[int], order: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Each token of a piece after the (at most `order`) tokens before it."""
    for at, token in enumerate(piece):
        yield tuple(piece[max(0, at - max(order, 0)) : at]), token


def compressed_nats(training: Pieces, pieces: Pieces) -> float:
    """Nats by which xz's output grows when pieces are appended to the training pieces, two bytes a token."""
    before, both = (_compressed(list(each)) for each in (training, [*training, *pieces]))
    return (both - before) * 8.0 * math.log(2.0)


def _compressed(pieces: Pieces) -> int:
    content = b"".join(np.asarray(piece, dtype="<i2").tobytes() for piece in pieces)
    return len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
