"""The Transformer: nothing looks ahead, the cache changes nothing, positions turn as the formula says."""

import math

import pytest
import torch
from toy_rotation import turn

from datamodules.release.tokens import NoteTokens
from lightning_modules.errors import OptionError
from lightning_modules.networks import NoteTransformer
from lightning_modules.networks.interval_attention import NUM_PITCHES
from lightning_modules.networks.note_transformer import FIRST_PITCH_TOKEN
from lightning_modules.networks.rotary import rotary_angles

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


def test_intervals_go_through_the_cache_and_need_room_for_pitches() -> None:
    torch.manual_seed(0)
    network = NoteTransformer(120, width=96, layers=2, heads=4, dropout=0.0, intervals=True).eval()
    with torch.no_grad():
        network.interval_attention.class_weight.normal_()
    whole = torch.randint(120, (2, 12))
    expected, cache = network(whole)
    assert cache.shape == (3, 2, 2, 4, 12, 24) and network.empty_cache(2).shape == (3, 2, 2, 4, 0, 24)
    first, cache = network(whole[:, :5])
    second, cache = network(whole[:, 5:], cache)
    torch.testing.assert_close(torch.cat([first, second], dim=1), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="no room for pitches"):
        NoteTransformer(90, width=96, intervals=True)


def test_the_pitches_are_where_the_vocabulary_has_them() -> None:
    names = NoteTokens().names
    pitches = names[FIRST_PITCH_TOKEN : FIRST_PITCH_TOKEN + NUM_PITCHES]
    assert pitches == [f"Pitch_{number}" for number in range(21, 109)]
