"""Each symptom at its threshold, on signals and numbers made by hand."""

import math

import pytest
import torch

from lightning_modules.callbacks import symptoms

RATE = 16000
TIME = torch.arange(8000) / RATE


def sines(level: float = 0.1, count: int = 4) -> torch.Tensor:
    """(count, 1, T), a different pitch in each."""
    pitch = 200.0 * 2.0 ** torch.arange(count).view(-1, 1, 1)
    return level * torch.sin(2 * torch.pi * pitch * TIME)


def found(generated: torch.Tensor) -> set[str]:
    diagnoses = symptoms.listen(generated, sines(), RATE, "samples")
    return {name.removesuffix("/samples") for name, symptom in diagnoses.items() if symptom}


def test_measures_by_hand():
    wave = sines(0.5)
    assert symptoms.level_db(wave).tolist() == pytest.approx(
        [20 * math.log10(0.5 / math.sqrt(2))] * 4, abs=0.01
    )
    assert symptoms.level_db(wave + 0.3).tolist() == pytest.approx(symptoms.level_db(wave).tolist(), abs=1e-3)
    assert symptoms.level_db(torch.zeros(1, 1, 8)).item() == pytest.approx(-120)
    assert symptoms.offset(wave - 0.25).tolist() == pytest.approx([0.25] * 4, abs=1e-4)
    square = torch.tensor([1.0, -1.0, 0.5, 0.0]).view(1, 1, 4)
    assert symptoms.clipped_share(square).item() == 0.5
    assert symptoms.diversity(wave, wave, RATE) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("generated", "problems"),
    [
        (sines(), set()),
        (sines(0.0011), set()),
        (sines(0.0009), {"silence"}),
        (torch.zeros(4, 1, 8000), {"silence"}),
        ((20 * sines()).clamp(-1, 1), {"clipping"}),
        (sines() + 0.04, set()),
        (sines() + 0.06, {"dc_offset"}),
        (torch.full((4, 1, 8000), 0.5), {"silence", "dc_offset"}),
        (sines()[:1].expand(4, -1, -1), {"mode_collapse"}),
        (sines() * math.nan, {"non_finite"}),
    ],
)
def test_what_is_heard(generated, problems):
    assert found(generated) == problems


def test_recordings_that_are_silent_clip_or_are_alike_themselves_are_no_reason_to_complain():
    for real in (torch.zeros(4, 1, 8000), (20 * sines()).clamp(-1, 1), sines() + 0.2):
        assert not any(symptoms.listen(real, real, RATE, "reconstructions").values())


def test_words():
    symptom = symptoms.listen(0 * sines(), sines(), RATE, "samples")["silence/samples"]
    assert symptom.message == "The samples are silent: -120 dB, where the recordings have -23 dB."
    assert "lower the learning rate" in symptom.advice


def problems(diagnoses: symptoms.Diagnoses) -> set[str]:
    return {name for name, symptom in diagnoses.items() if symptom}


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        ([1.0] * 10, set()),
        ([99.0] * 10, set()),
        ([1.0] * 8 + [1e6] * 2, set()),  # two outliers
        ([1.0] * 7 + [101.0] * 3, {"gradient_explosion"}),
        ([1.0] * 9 + [math.nan], {"non_finite_gradient"}),
        ([1.0] * 7 + [math.inf] * 3, {"non_finite_gradient"}),
        ([500.0] * 5 + [math.nan] * 5, {"non_finite_gradient", "gradient_explosion"}),
    ],
)
def test_gradients(latest, expected):
    assert problems(symptoms.examine_gradients([1.0] * 30, latest, False, "")) == expected


def test_a_scaler_may_overflow_but_not_for_ever():
    def judge(norms):
        return problems(symptoms.examine_gradients(norms[:-10], norms[-10:], True, ""))

    assert judge([1.0] * 20 + [math.inf] * 19) == set()
    assert judge([1.0] * 20 + [math.inf] * 20) == {"non_finite_gradient"}
    assert symptoms.trailing([math.nan, 1.0, math.inf, math.nan]) == 2


@pytest.mark.parametrize(
    ("accuracy", "loss", "expected"),
    [
        (1.0, 0.01, {"critic_won"}),
        (1.0, 0.3, set()),
        (1.0, -0.1, set()),  # Wasserstein: there is no such thing as a loss of zero
        (0.9, 0.01, set()),
        (0.7, 0.5, set()),
        (0.55, 0.5, set()),
        (0.5, 0.5, {"critic_lost"}),
        (0.0, 2.0, {"critic_lost"}),
    ],
)
def test_critic(accuracy, loss, expected):
    assert problems(symptoms.examine_critic([accuracy] * 10, [loss] * 10)) == expected
    assert problems(symptoms.examine_critic([accuracy] * 10, [])) == expected - {"critic_won"}


@pytest.mark.parametrize(
    ("units", "most", "rate", "collapsed"),
    [
        (32.0, 32.0, 5000.0, False),
        (4.0, 32.0, 5000.0, False),
        (0.0, 0.0, 5000.0, False),
        (3.0, 32.0, 19.0, True),
        (3.0, 32.0, 21.0, False),
        (0.0, 0.0, None, True),
        (1.0, 1.0, 15.0, False),
        (4.0, 4.0, 0.5, True),
        (4.0, 4.0, None, False),
    ],
)
def test_posterior(units, most, rate, collapsed):
    assert problems(symptoms.examine_posterior(units, most, rate)) == (
        {"posterior_collapse"} if collapsed else set()
    )


def test_losses():
    assert not any(symptoms.examine_losses({"train/loss": 1.0}).values())
    found = symptoms.examine_losses({"train/loss": 1.0, "train/critic_loss": math.nan})
    assert found["non_finite_loss"].message == "train/critic_loss is nan."
