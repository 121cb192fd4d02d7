import math

import pytest
import torch
from torch import nn

from lightning_modules.losses.adversarial import HingeLoss, RelativisticLoss
from lightning_modules.losses.adversary import Adversary, SpectrogramAdversary


class Loudness(nn.Module):
    """Critics of one map, a clip's mean, and of its double; their scores are the maps."""

    channels = 1
    hidden_sizes = (1, 1)

    def forward(self, waveform):
        mean = waveform.mean(2, keepdim=True)
        return [[mean], [2.0 * mean]]


class Last(nn.Module):
    hidden_sizes = (1, 1)

    def forward(self, maps):
        return [critic[-1].flatten(1) for critic in maps]


RECORDED, MADE = torch.full((2, 1, 4), 0.75), torch.full((2, 1, 4), -0.25)


def test_hinge_by_hand():
    adversary = Adversary(Loudness(), Last(), HingeLoss())
    loss, accuracy = adversary(RECORDED, MADE)
    # first critic: (1 - 0.75) + (1 - 0.25); second: 0 + (1 - 0.5)
    assert loss.item() == pytest.approx(0.25 + 0.75 + 0.0 + 0.5)
    assert accuracy.item() == 1.0
    judgement = adversary.judge(RECORDED, MADE)
    assert judgement.adversarial.item() == pytest.approx(0.25 + 0.5)
    assert judgement.feature_matching.item() == pytest.approx(1.0 + 2.0)


def test_relativistic_by_hand():
    adversary = Adversary(Loudness(), Last(), RelativisticLoss())
    softplus = lambda value: math.log(1.0 + math.exp(value))  # noqa: E731
    assert adversary(RECORDED, MADE)[0].item() == pytest.approx(softplus(-1.0) + softplus(-2.0))
    assert adversary.judge(RECORDED, MADE).adversarial.item() == pytest.approx(softplus(1.0) + softplus(2.0))


def test_gradients_of_a_judgement_are_those_of_what_was_made():
    adversary = SpectrogramAdversary([64, 32], model_size=2)
    recorded = torch.randn(2, 1, 256, requires_grad=True)
    made = torch.randn(2, 1, 256, requires_grad=True)
    sum(adversary.judge(recorded, made)).backward()
    assert recorded.grad is None and made.grad.abs().sum() > 0
