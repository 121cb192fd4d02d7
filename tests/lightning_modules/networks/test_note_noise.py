"""Noise in bands: power as asked, in its band, and the same from wherever it is read."""

import pytest
import torch

from lightning_modules.networks.note_noise import NoteNoise, band_noise

RATE = 16_000
HOP = 64


def test_each_band_has_unit_power_and_a_place_of_its_own():
    noise = band_noise(RATE, 1, 6, 1 << 15)[:, 0]  # (T, Q)
    torch.testing.assert_close(noise.square().mean(0), torch.ones(6), atol=1e-4, rtol=0)
    centre = (torch.fft.rfft(noise.T).abs().square() * torch.linspace(0, RATE / 2, (1 << 14) + 1)).sum(1)
    centre = centre / torch.fft.rfft(noise.T).abs().square().sum(1)
    assert (centre[1:] > 1.3 * centre[:-1]).all()


def test_power_is_what_was_asked():
    noise = NoteNoise(RATE, num_bands=6).requires_grad_(False)
    noise.floor.fill_(-30.0)
    power = torch.zeros(1, 501, 6)
    power[..., 3] = 0.04
    waveform = noise(power, torch.tensor([0]), HOP)
    assert waveform.shape == (1, 1, 500 * HOP)
    assert waveform.square().mean().item() == pytest.approx(0.04, rel=0.1)


def test_a_later_part_is_the_part_of_the_whole_also_where_the_table_begins_again():
    noise = NoteNoise(RATE, num_bands=6, table_samples=4096).requires_grad_(False)
    power = torch.rand(1, 101, 6, generator=torch.Generator().manual_seed(0))
    whole = noise(power, torch.tensor([1000]), HOP)
    part = noise(power[:, 60:], torch.tensor([1000 + 60 * HOP]), HOP)
    torch.testing.assert_close(part, whole[..., 60 * HOP :])


def test_bursts_fade_and_grow_with_velocity():
    noise = NoteNoise(RATE, num_bands=6).requires_grad_(False)
    key = torch.tensor([[39, 39]])
    soft, loud = noise.burst_power(key, torch.tensor([[32.0, 64.0]]))[0]
    torch.testing.assert_close(loud / soft, torch.full_like(loud, 4.0))
    fading = noise.fading(torch.tensor([[[-1.0, 0.0, 0.1]]]))[0, 0]
    assert fading[:, :2].eq(1.0).all()
    torch.testing.assert_close(fading[:, 2], (-0.2 * noise.log_rate.exp()).exp())
