import math

import librosa
import numpy as np
import pytest
import torch

from lightning_modules.audio.spectrogram import MelSpectrogram, STFTMagnitude, power_to_db


def test_magnitude_equals_librosa():
    waveform = 0.1 * torch.randn(2, 1, 5000, generator=torch.Generator().manual_seed(0))
    expected = np.abs(librosa.stft(waveform[1, 0].numpy(), n_fft=512, hop_length=128, pad_mode="reflect"))
    scale = 2 / torch.hann_window(512).sum().item()
    magnitude = STFTMagnitude(512, 128, floor=1e-12)(waveform)
    assert magnitude.shape == (2, 1, 257, 40)
    np.testing.assert_allclose(magnitude[1, 0].numpy(), scale * expected, atol=1e-6)


def test_a_full_scale_sine_peaks_at_one():
    time = torch.arange(8192)
    sine = torch.sin(2 * math.pi * 32 / 1024 * time)
    assert STFTMagnitude(1024, 256)(sine)[32, 8].item() == pytest.approx(1.0, abs=1e-4)


def test_clips_shorter_than_half_a_window_are_padded_with_silence():
    assert STFTMagnitude(1024, 256)(torch.ones(1, 100)).shape == (1, 513, 1)


def test_magnitude_is_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert MelSpectrogram(16000)(torch.randn(1, 1, 4096)).dtype == torch.float32


def test_mel_filters_are_librosas_with_unit_sum():
    filters = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=80, norm=None)
    expected = filters / filters.sum(1, keepdims=True)
    np.testing.assert_allclose(MelSpectrogram(16000).filters.numpy(), expected, atol=1e-5)


def test_white_power_is_flat_over_the_bands():
    mel = MelSpectrogram(16000)
    torch.testing.assert_close(mel.filters @ torch.ones(513), torch.ones(80))


def test_decibels_and_their_floor():
    assert power_to_db(torch.tensor([1.0, 0.1, 0.0])).tolist() == pytest.approx([0.0, -10.0, -100.0])
