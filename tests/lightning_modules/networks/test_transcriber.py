"""The transcriber's front end, its frames, and how far it looks."""

import numpy as np
import pytest
import torch

from lightning_modules.networks.transcriber import (
    BANDS_PER_OCTAVE,
    BANDS_PER_SEMITONE,
    HARMONICS,
    NUM_KEYS,
    LogFrequencySpectrogram,
    Transcriber,
    harmonic_stack,
)

RATE = 16_000


def tone(frequency: float, level: float = 0.5, seconds: float = 1.0) -> torch.Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (level * torch.sin(2 * torch.pi * frequency * time)).float()[None]


def spectrogram(windows: tuple[float, ...] = (0.128,)) -> LogFrequencySpectrogram:
    return LogFrequencySpectrogram(RATE, 256, windows)


@pytest.mark.parametrize("key", [30, 48, 60, 87])
def test_a_tone_is_highest_at_its_key_and_a_harmonic_lies_beside_it(key):
    frequency = 27.5 * 2 ** (key / 12)
    levels = spectrogram()(tone(frequency))  # (1, 1, bands, N)
    band = int(levels[0, 0, :, 30].argmax())
    assert band == BANDS_PER_OCTAVE + key * BANDS_PER_SEMITONE
    overtone = harmonic_stack(spectrogram()(tone(3 * frequency if key < 60 else frequency)))
    channel = HARMONICS.index(3.0 if key < 60 else 1.0)
    assert int(overtone[0, channel, :, 30].argmax()) == key * BANDS_PER_SEMITONE


def test_levels_are_logarithmic_and_zero_in_silence():
    loud, soft = (spectrogram()(tone(440.0, level))[0, 0].max().item() for level in (0.9, 0.09))
    assert loud < 1.0
    assert loud - soft == pytest.approx(np.log(10) / np.log1p(3000), rel=0.02)
    assert spectrogram()(torch.zeros(1, RATE)).abs().max() < 1e-3


def test_bands_above_half_the_sample_rate_are_silent():
    low = LogFrequencySpectrogram(8000, 128, (0.128,))
    assert torch.isfinite(low(torch.randn(1, 8000))).all()
    assert low(torch.randn(1, 8000))[0, 0, -1].max() == 0.0


def test_shapes_and_channels():
    network = Transcriber(RATE, width=4, dilations=(1,))
    waveform = 0.1 * torch.randn(2, 2, 8000)
    logits = network(waveform)
    assert [part.shape for part in logits] == [(2, NUM_KEYS, 8000 // 256 + 1)] * 3
    torch.testing.assert_close(network(waveform.mean(1, keepdim=True)), logits)


def test_nothing_is_heard_beyond_the_context():
    torch.manual_seed(0)
    network = Transcriber(RATE, width=4, dilations=(1, 2))
    waveform = 0.1 * torch.randn(1, 1, 40 * 2 * 256)
    changed = waveform.clone()
    changed[..., 40 * 256 : 40 * 256 + 1] += 0.5
    differs = [
        (a - b).abs().amax((0, 1)) > 1e-7 for a, b in zip(network(waveform), network(changed), strict=True)
    ]
    frames = torch.stack(differs).any(0).nonzero().flatten()
    assert 40 - network.context_frames <= frames.min() < 40 < frames.max() <= 40 + network.context_frames


def test_another_rate_has_the_same_frames_in_seconds():
    network = Transcriber(44_100, width=4, dilations=(1,))
    assert network.hop_samples / 44_100 == pytest.approx(0.016, abs=1e-4)


def test_thresholds_are_kept_with_the_weights():
    network = Transcriber(RATE, width=4, dilations=(1,))
    network.set_thresholds(0.35, 0.25)
    other = Transcriber(RATE, width=4, dilations=(1,))
    other.load_state_dict(network.state_dict())
    assert other.onset_threshold.item() == pytest.approx(0.35)
    assert other.sounding_threshold.item() == pytest.approx(0.25)


def test_gradients_reach_the_waveform_even_from_silence():
    network = Transcriber(RATE, width=4, dilations=(1,))
    waveform = torch.zeros(1, 1, 4096).add_(1e-6).requires_grad_()
    network(waveform).onset.sum().backward()
    assert torch.isfinite(waveform.grad).all()
    assert waveform.grad.abs().max() > 0
