import math

import pytest
import torch

from lightning_modules.errors import OptionError
from lightning_modules.losses.adversarial import (
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    RelativisticLoss,
    WassersteinLoss,
    ranking_accuracy,
    score_per_clip,
)

REAL, GENERATED = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])


def log_sigmoid(value: float) -> float:
    return -math.log(1 + math.exp(-value))


@pytest.mark.parametrize(
    ("loss", "critic", "generator"),
    [
        (WassersteinLoss(), -1.0 - 1.25, 1.0),
        (HingeLoss(), (0 + 0.5) / 2 + (0 + 2) / 2, 1.0),
        (LeastSquaresLoss(), (1 + 0.25) / 2 + (9 + 1) / 2, (16 + 0) / 2),
        (
            NonSaturatingLoss(),
            -(log_sigmoid(2) + log_sigmoid(0.5)) / 2 - (log_sigmoid(3) + log_sigmoid(-1)) / 2,
            -(log_sigmoid(-3) + log_sigmoid(1)) / 2,
        ),
    ],
)
def test_by_hand(loss, critic, generator):
    assert loss.critic(REAL, GENERATED).item() == pytest.approx(critic, rel=1e-6)
    assert loss(REAL, GENERATED).item() == pytest.approx(critic, rel=1e-6)
    assert loss.generator(GENERATED).item() == pytest.approx(generator, rel=1e-6)


def test_the_probability_of_the_non_saturating_loss():
    probability = torch.sigmoid(REAL)
    expected = -probability.log().mean() - (1 - torch.sigmoid(GENERATED)).log().mean()
    torch.testing.assert_close(NonSaturatingLoss().critic(REAL, GENERATED), expected)


@pytest.mark.parametrize("loss", [WassersteinLoss(), HingeLoss(), LeastSquaresLoss(), NonSaturatingLoss()])
def test_both_sides_pull_scores_their_way(loss):
    real, generated = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    loss.critic(real + 0.1, generated + 0.1).backward()
    assert (real.grad < 0).all() and (generated.grad > 0).all()  # descent raises real, lowers generated
    generated.grad = None
    loss.generator(generated).backward()
    assert (generated.grad < 0).all()


def test_a_relativistic_loss_asks_for_pairs():
    with pytest.raises(OptionError, match="this model makes none"):
        RelativisticLoss().generator(GENERATED)


def test_ranking_accuracy_is_the_area_under_the_roc_curve():
    assert ranking_accuracy(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0])).item() == 1.0
    assert ranking_accuracy(torch.tensor([0.0]), torch.tensor([1.0])).item() == 0.0
    assert ranking_accuracy(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0])).item() == 0.5
    assert ranking_accuracy(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item() == 0.75


def test_one_score_per_clip():
    scores = [torch.tensor([[1.0, 3.0], [5.0, 7.0]]), torch.tensor([[0.0], [2.0], [4.0], [6.0]])]
    assert score_per_clip(scores, 2).tolist() == [(2 + 1) / 2, (6 + 5) / 2]
