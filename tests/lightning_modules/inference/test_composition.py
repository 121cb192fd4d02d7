"""Drawing: what may be drawn, how often, and that a long piece is composed in a window's memory."""

import itertools

import numpy as np
import pytest
import torch

from datamodules.release.tokens import NoteEvent, NoteReader, NoteTokens
from lightning_modules.inference.composition import compose
from lightning_modules.networks import NoteTransformer
from lightning_modules.numerics.nucleus import draw


class Anything:
    """A reader that allows every token but 1, and returns what it reads."""

    def __init__(self, size: int) -> None:
        self.size = size

    def allowed(self) -> np.ndarray:
        return np.arange(self.size) != 1

    def read(self, token: int) -> int:
        return token


def network(size: int = 11, seed: int = 0) -> NoteTransformer:
    torch.manual_seed(seed)
    return NoteTransformer(size, width=16, layers=2, heads=2).eval().requires_grad_(False)


def plain(model: NoteTransformer, count: int, seed: int, prompt: list[int], window: int) -> list[int]:
    """The same without a cache: all that is heard is read anew for each token."""
    random, tokens, heard = np.random.default_rng(seed), [], list(prompt)[-(window - 1) :]
    for _ in range(count):
        scores, _ = model(torch.tensor([[1, *heard]]))
        tokens.append(draw(scores[0, -1], Anything(11).allowed(), random.random(), 1.0, 0.9))
        full = len(heard) + 1 >= window
        heard.append(tokens[-1])
        if full:
            heard = heard[-(window // 2) :]
    return tokens


@pytest.mark.parametrize("prompt", [[], [4, 5, 6], list(range(2, 11)) * 3])
def test_cached_and_uncached_pieces_are_one(prompt: list[int]) -> None:
    model = network()
    found = compose(model, Anything(11), 8, seed=3, top_p=0.9, prompt=prompt)
    assert list(itertools.islice(found, 60)) == plain(model, 60, 3, prompt, 8)


def test_a_seed_makes_one_piece() -> None:
    model = network()
    pieces = [list(itertools.islice(compose(model, Anything(11), 16, seed), 30)) for seed in (0, 0, 1)]
    assert pieces[0] == pieces[1] != pieces[2]
    assert 1 not in pieces[0] + pieces[2]


def test_the_network_never_hears_more_than_its_window() -> None:
    model, lengths = network(), []
    forward = model.forward

    def counting(
        tokens: torch.Tensor, cache: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores, cache = forward(tokens, cache)
        lengths.append(cache.shape[4])
        return scores, cache

    model.forward = counting  # type: ignore[method-assign]
    list(itertools.islice(compose(model, Anything(11), 8, 0, prompt=[3] * 50), 40))
    assert max(lengths) == 8 and min(lengths[1:]) == 5  # the beginning and half a window


def test_what_is_drawn_of_notes_makes_sense() -> None:
    """An untrained network under the rules of the vocabulary: only whole notes, and time goes on."""
    vocabulary = NoteTokens()
    reader = NoteReader(vocabulary)
    made = list(itertools.islice(compose(network(len(vocabulary)), reader, 32, 0), 600))
    notes = [event for event in made if isinstance(event, NoteEvent)]
    assert len(notes) > 50 and reader.tick > 100
    assert all(21 <= note.pitch <= 108 and note.duration > 0 and note.velocity > 0 for note in notes)
    assert len({(note.tick, note.pitch) for note in notes}) == len(notes)
