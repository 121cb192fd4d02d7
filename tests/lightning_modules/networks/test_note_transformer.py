"""The Transformer: nothing looks ahead, the cache changes nothing, positions turn as the formula says."""

import math

import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks import NoteTransformer
from lightning_modules.networks.note_transformer import rotary_angles, rotated

SIZE = 11


@pytest.fixture(scope="module")
def network() -> NoteTransformer:
    torch.manual_seed(0)
    network = NoteTransformer(SIZE, width=16, layers=3, heads=2, dropout=0.5).eval()
    with torch.no_grad():  # of a size that every part matters
        for parameter in network.parameters():
            parameter.mul_(3.0)
    return network


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(SIZE, (batch, length), generator=torch.Generator().manual_seed(seed))


def test_no_score_depends_on_later_tokens(network) -> None:
    one = tokens(2, 12)
    other = one.clone()
    other[:, 7:] = tokens(2, 5, seed=1)
    first, second = network(one)[0], network(other)[0]
    assert torch.equal(first[:, :7], second[:, :7])
    assert not torch.allclose(first[:, 7:], second[:, 7:])


@pytest.mark.parametrize("cuts", [[1] * 12, [5, 1, 6], [11, 1], [3, 4, 5]])
def test_the_cache_changes_nothing(network, cuts: list[int]) -> None:
    whole = tokens(2, 12)
    expected = network(whole)[0]
    cache, found = None, []
    for part in whole.split(cuts, dim=1):
        scores, cache = network(part, cache)
        found.append(scores)
    torch.testing.assert_close(torch.cat(found, dim=1), expected, rtol=1e-4, atol=1e-4)
    assert cache.shape == (3, 2, 2, 2, 12, 8)


def test_attention_by_hand(network) -> None:
    """One block's attention, position by position, with numbers of Python."""
    block = network.blocks[0]
    hidden = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(0))
    cosine, sine = rotary_angles(0, 4, 8, hidden)
    found, _ = block.attend(hidden, cosine, sine, None)
    query, key, value = block.projections(hidden[0]).view(4, 3, 2, 8).unbind(1)  # (S, heads, D)
    rows = []
    for position in range(4):
        heads = []
        for head in range(2):
            turned = turn(query[position, head].tolist(), position)
            logits = [
                sum(q * k for q, k in zip(turned, turn(key[other, head].tolist(), other), strict=True))
                / math.sqrt(8)
                for other in range(position + 1)
            ]
            weights = [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]
            heads.append(sum(weight * value[other, head] for other, weight in enumerate(weights)))
        rows.append(torch.cat(heads))
    torch.testing.assert_close(found[0], block.output(torch.stack(rows)), rtol=1e-4, atol=1e-4)


def turn(vector: list[float], position: int) -> list[float]:
    """Channel c and channel c + D / 2 as a complex number, times exp(i position 10000^(-2c / D))."""
    half = len(vector) // 2
    turned = [
        complex(vector[c], vector[c + half])
        * complex(
            math.cos(position * 10000 ** (-2 * c / len(vector))),
            math.sin(position * 10000 ** (-2 * c / len(vector))),
        )
        for c in range(half)
    ]
    return [each.real for each in turned] + [each.imag for each in turned]


def test_rotations_go_on_where_the_cache_ends() -> None:
    like = torch.zeros(1)
    vector = torch.randn(1, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    found = rotated(vector, *rotary_angles(40, 3, 8, like))
    for index in range(3):
        expected = turn(vector[0, 0, index].tolist(), 40 + index)
        torch.testing.assert_close(found[0, 0, index], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_it_begins_near_even_odds() -> None:
    torch.manual_seed(0)
    network = NoteTransformer(411).eval()
    scores, _ = network(torch.randint(411, (2, 50)))
    nats = torch.nn.functional.cross_entropy(scores.flatten(0, 1), torch.randint(411, (100,)))
    assert nats.item() == pytest.approx(math.log(411), abs=0.15)


def test_every_weight_is_trained() -> None:
    network = NoteTransformer(SIZE, width=8, layers=2, heads=2)
    network(tokens(2, 6))[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_odd_sizes_of_heads_are_refused() -> None:
    with pytest.raises(OptionError, match="width is 20 and heads is 4"):
        NoteTransformer(SIZE, width=20, heads=4)
