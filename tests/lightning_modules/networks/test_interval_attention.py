"""Scores by intervals: by hand, causal, and the same in every key."""

import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.networks.interval_attention import GAIN, NUM_PITCHES, SPAN, IntervalAttention
from lightning_modules.networks.rotary import rotary_angles

FIRST, WIDTH, HEADS = 3, 96, 2


@pytest.fixture
def part() -> IntervalAttention:
    torch.manual_seed(0)
    part = IntervalAttention(WIDTH, HEADS, FIRST)
    torch.nn.init.normal_(part.interval_weight)
    torch.nn.init.normal_(part.class_weight)
    return part.requires_grad_(False)


def scores(part: IntervalAttention, tokens: list[int], hidden: torch.Tensor) -> torch.Tensor:
    angles = rotary_angles(0, len(tokens), WIDTH // HEADS, hidden)
    return part(torch.tensor([tokens]), hidden, *angles, None)[0][0]  # (S, 88)


def test_one_pitch_in_the_past_by_hand(part):
    """Attention has nothing else to look at but the first token, which is no pitch."""
    part.projections.weight.zero_()  # attention is even
    heard = 40
    found = scores(part, [0, FIRST + heard, 2], torch.randn(1, 3, WIDTH))
    assert found[0].abs().max() == 0.0, "nothing was heard yet"
    for pitch in (0, 39, 40, 47, 52, 87):
        interval = pitch - heard
        near = part.interval_weight[:, interval + SPAN].sum() if abs(interval) <= SPAN else 0.0
        expected = GAIN * 0.5 * (near + part.class_weight[:, interval % 12].sum())
        torch.testing.assert_close(found[2, pitch], expected)


def test_a_transposed_past_has_transposed_scores(part):
    hidden = torch.randn(1, 5, WIDTH)
    past = [0, FIRST + 30, FIRST + 34, 2, FIRST + 37]
    moved = [token + 5 if token >= FIRST else token for token in past]
    torch.testing.assert_close(scores(part, past, hidden)[:, :-5], scores(part, moved, hidden)[:, 5:])


def test_no_score_depends_on_later_tokens(part):
    hidden = torch.randn(1, 4, WIDTH)
    first = scores(part, [0, FIRST + 1, FIRST + 2, FIRST + 3], hidden)
    second = scores(part, [0, FIRST + 1, FIRST + 70, FIRST + 80], hidden)
    assert torch.equal(first[:2], second[:2]) and not torch.equal(first[2:], second[2:])


def test_too_narrow_for_the_pitches():
    with pytest.raises(OptionError, match="width is 64"):
        IntervalAttention(64, 2, FIRST)
    assert NUM_PITCHES <= WIDTH
