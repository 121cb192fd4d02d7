"""Sums of decaying sinusoids: against the formula in float64, sample by sample."""

import math

import pytest
import torch

from lightning_modules.networks.partials import (
    FRAMES,
    Components,
    amplitudes,
    carriers,
    exact_cycles,
    pack,
    synthesise,
)

HOP = 64


@pytest.mark.parametrize("turns", [0.0017, 0.0271828, 0.25, 0.4999])
@pytest.mark.parametrize("samples", [0, 1, -12_345, 16_000 * 600, 48_000 * 3600])
def test_cycles_are_exact_after_an_hour(turns: float, samples: int):
    value = torch.tensor([turns])
    found = exact_cycles(value, torch.tensor([samples])).double().item()
    expected = (value.double().item() * samples) % 1.0
    assert math.remainder(found - expected, 1.0) == pytest.approx(0.0, abs=1e-6)


def test_cycles_have_the_gradient_of_the_product():
    turns = torch.tensor([0.01], requires_grad=True)
    exact_cycles(turns, torch.tensor([16_000])).sum().backward()
    assert turns.grad is not None
    assert turns.grad.item() == 16_000


def component(turns: float, decay: float, samples: int, fraction: float) -> Components:
    """A component of one stage, started at a phase of 0.1 cycles with amplitude 0.5."""
    return Components(
        turns=torch.tensor([[[turns, turns]]]),
        samples=torch.tensor([[samples]]),
        fraction=torch.tensor([[fraction]]),
        log_amplitude=torch.tensor([[[math.log(0.5), -100.0]]]),
        decay=torch.tensor([[[decay, decay]]]),
        phase=torch.tensor([[[0.1, 0.0]]]),
    )


@pytest.mark.parametrize(("samples", "fraction"), [(0, 0.0), (16_000 * 60, 0.25)])
def test_a_component_is_its_formula(samples: int, fraction: float):
    turns, decay = 0.0271828, 0.5 / 16_000
    amplitude = amplitudes(component(turns, decay, samples, fraction), HOP)[:, :, None]
    carrier = carriers(torch.tensor([turns]), HOP)[None]
    found = synthesise(amplitude, torch.ones(1, 1, FRAMES + 1), carrier)[0, 0].double()
    time = torch.arange(FRAMES * HOP, dtype=torch.float64) + samples - fraction
    exact_turns = torch.tensor(turns).double()
    expected = 0.5 * (-decay * time).exp() * (2 * math.pi * (exact_turns * time + 0.1)).cos()
    torch.testing.assert_close(found, expected, atol=2e-5 * 0.5, rtol=1e-3)


def test_envelopes_are_interpolated_between_hops():
    envelope = torch.rand(1, 1, FRAMES + 1, generator=torch.Generator().manual_seed(0))
    amplitude = amplitudes(component(0.25, 0.0, 0, 0.0), HOP)[:, :, None]
    carrier = carriers(torch.tensor([0.25]), HOP)[None]
    found = synthesise(amplitude, envelope, carrier)[0, 0]
    position = torch.arange(FRAMES * HOP) / HOP
    before = position.long()
    share = position - before
    level = envelope[0, 0, before] * (1 - share) + envelope[0, 0, before + 1] * share
    whole = synthesise(amplitude, torch.ones_like(envelope), carrier)[0, 0]
    torch.testing.assert_close(found, level * whole, atol=1e-5, rtol=1e-4)


def test_active_entries_are_packed():
    active = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    position, used = pack(active)
    assert used.tolist() == [[True, True], [False, False], [True, False]]
    assert position[used].tolist() == [1, 3, 0]
