"""Tokens drawn one after the other from a network, without end and in constant memory."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.batch import BEGIN
from lightning_modules.base import MusicEvent, TokenNetwork, TokenReader
from lightning_modules.numerics.nucleus import TEMPERATURE, TOP_P, draw

Event = TypeVar("Event", covariant=True)
Timed = TypeVar("Timed", bound=MusicEvent)


class Reader(Protocol[Event]):
    """Knows which tokens make sense, and what they mean."""

    def allowed(self) -> NDArray[np.bool_]:
        """(V,) bool: tokens that may come next."""

    def read(self, token: int) -> Event | None:
        """Take a token; returns the event that is complete with it, if one is."""


@torch.no_grad()
def compose(
    network: TokenNetwork,
    reader: Reader[Event],
    window_tokens: int,
    seed: int,
    temperature: float = TEMPERATURE,
    top_p: float = TOP_P,
    prompt: Sequence[int] = (),
) -> Iterator[Event | None]:
    """Draw tokens for as long as they are asked for.

    The network hears at most the window that it was trained on. When that is full, its first half is
    forgotten and the rest is read anew.

    Args:
        network: In evaluation mode.
        reader: Has read `prompt`, and reads what is drawn.
        window_tokens: Tokens that the network hears at a time.
        seed: Of the draws.
        temperature: See `draw`.
        top_p: See `draw`.
        prompt: Tokens to go on from.

    Yields:
        What the reader returns for each token.
    """
    device = network.empty_cache(1).device
    random = np.random.default_rng(seed)
    kept = max(1, window_tokens // 2)
    heard = deque(prompt, maxlen=window_tokens - 1)
    pending, cache = [BEGIN, *heard], None
    while True:
        scores, cache = network(torch.tensor([pending], device=device), cache)
        token = draw(scores[0, -1].cpu().double(), reader.allowed(), random.random(), temperature, top_p)
        yield reader.read(token)
        heard.append(token)
        pending = [token]
        if cache.shape[4] >= window_tokens:
            pending, cache = [BEGIN, *list(heard)[-kept:]], None


def events_until(drawn: Iterable[Timed | None], reader: TokenReader, last_tick: int) -> Iterator[Timed]:
    """The events before a tick; what lasts beyond it ends there.

    Args:
        drawn: See `compose`.
        reader: Reads what is drawn, and knows its time.
        last_tick: Where the piece ends.
    """
    for event in drawn:
        if reader.tick >= last_tick:
            return
        if event is not None:
            yield event.until(last_tick)
