import math

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from lightning_modules.audio.spectrogram import MelSpectrogram, STFTMagnitude
from lightning_modules.metrics import functional


def noise(clips: int = 2, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(clips, 1, 16000, generator=torch.Generator().manual_seed(seed))


def test_log_mel_distance_of_a_gain_is_the_gain_in_db():
    gains = torch.tensor([0.5, 0.1]).view(2, 1, 1)
    distance = functional.log_mel_distance(gains * noise(), noise(), MelSpectrogram(16000), floor_db=-200)
    torch.testing.assert_close(distance, torch.tensor([20 * math.log10(2), 20.0]), atol=1e-3, rtol=0)


def test_log_mel_distance_ignores_what_is_below_the_floor():
    quiet = 1e-7 * noise()
    assert functional.log_mel_distance(0 * quiet, quiet, MelSpectrogram(16000)).abs().max() == 0.0


def test_multi_scale_spectral_distance_of_half_amplitude():
    scales = [STFTMagnitude(n, n // 4, floor=1e-9) for n in (1024, 256)]
    distance = functional.multi_scale_spectral_distance(0.5 * noise(), noise(), scales)
    torch.testing.assert_close(distance, torch.full((2,), 0.5 + math.log(2.0)), atol=1e-3, rtol=0)


def test_si_sdr_equals_torchmetrics():
    estimate, target = noise(3, seed=1) + 0.5 * noise(3) + 0.02, noise(3)
    expected = scale_invariant_signal_distortion_ratio(estimate, target, zero_mean=True).mean(-1)
    torch.testing.assert_close(functional.si_sdr(estimate, target), expected, atol=1e-3, rtol=0)


def test_si_sdr_of_orthogonal_noise_at_a_tenth_is_20_db_whatever_the_scale():
    time = torch.arange(16000) / 16000
    target = torch.sin(2 * math.pi * 440 * time).view(1, 1, -1)
    error = torch.sin(2 * math.pi * 660 * time).view(1, 1, -1)
    assert functional.si_sdr(target + 0.1 * error, target).item() == pytest.approx(20.0, abs=1e-3)
    assert functional.si_sdr(0.01 * (target + 0.1 * error), target).item() == pytest.approx(20.0, abs=1e-3)


def test_si_sdr_of_a_stream_is_that_of_the_whole():
    estimate, target = noise(3, seed=1) + 0.5 * noise(3) + 0.02, noise(3)
    blocks = [
        functional.EnergySums.of(estimate[..., part], target[..., part])
        for part in (slice(0, 10), slice(10, 9000), slice(9000, None))
    ]
    sums = blocks[0].plus(blocks[1]).plus(blocks[2])
    assert sums.num_samples == target.shape[-1]
    expected = functional.si_sdr(estimate, target)
    torch.testing.assert_close(functional.si_sdr_of_sums(sums).mean(-1).float(), expected)


def test_si_sdr_of_silence_is_bad_and_not_nan():
    silence = torch.zeros(1, 1, 16000)
    assert functional.si_sdr(silence, noise(1)).item() == -100.0
    assert functional.si_sdr(noise(1), silence).item() == -100.0


def test_tonality_of_noise_of_any_colour_and_loudness_is_what_its_distribution_says():
    euler, bins = 0.5772, 16
    white = noise(4, seed=1).repeat(1, 1, 1)
    slope = torch.fft.irfft(torch.fft.rfft(white) * torch.linspace(1, 0.01, 8001), n=16000)
    for waveform in (white, 1e-3 * white, slope):
        found = functional.tonality(waveform, 16000)
        # neighbouring bins of a Hann window are not independent, so the mean counts fewer than 16
        assert (found - (euler - 1 / (2 * bins))).abs().max() < 0.05
        assert (found - functional.NOISE_TONALITY).abs().max() < 0.03


def test_tonality_of_partials_exceeds_that_of_noise_by_the_share_of_empty_bins():
    time = torch.arange(16000) / 16000
    tone = sum(torch.sin(2 * math.pi * 220.0 * partial * time) for partial in range(1, 10)).view(1, 1, -1)
    assert functional.tonality(tone + 1e-4 * noise(1), 16000).item() > 4.0
    halfway = functional.tonality(tone + 5.0 * noise(1), 16000).item()
    assert functional.NOISE_TONALITY + 0.3 < halfway < 4.0


def test_tonality_of_silence_and_of_short_clips_is_finite():
    assert functional.tonality(torch.zeros(2, 1, 16000), 16000).tolist() == [0.0, 0.0]
    assert functional.tonality(noise()[..., :100], 16000).isfinite().all()
