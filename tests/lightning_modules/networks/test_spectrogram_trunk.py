import pytest
import torch

from lightning_modules.networks.spectrogram_trunk import PlaneScoreHead, SpectrogramCritic, SpectrogramTrunk


def count(network: torch.nn.Module) -> int:
    """Parameters, weight normalisation (whose magnitudes are called original0) folded in."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0"))


def test_the_published_layers():
    """EnCodec's official code: kernels of 3 x 9, three times halving the bins, then 3 x 3."""
    with torch.device("meta"):
        trunk = SpectrogramTrunk()
        head = PlaneScoreHead(trunk.hidden_sizes)
    plan = [
        (c.in_channels, c.out_channels, c.kernel_size, c.stride, c.dilation) for c in trunk.critics[0].layers
    ]
    assert plan == [
        (2, 32, (3, 9), (1, 1), (1, 1)),
        (32, 32, (3, 9), (1, 2), (1, 1)),
        (32, 32, (3, 9), (1, 2), (2, 1)),
        (32, 32, (3, 9), (1, 2), (4, 1)),
        (32, 32, (3, 3), (1, 1), (1, 1)),
    ]
    assert [critic.fft_samples for critic in trunk.critics] == [2048, 1024, 512, 256, 128]
    one = (2 * 27 + 1) * 32 + 3 * (32 * 27 + 1) * 32 + (32 * 9 + 1) * 32 + (32 * 9 + 1)
    assert count(trunk) + count(head) == 5 * one == 471_685


def test_a_map_has_frames_and_bins():
    trunk = SpectrogramTrunk([64, 32], model_size=4, channels=2)
    maps = trunk(torch.zeros(3, 2, 256))
    # (256 - 64) / 16 + 1 frames of 33 bins, which three layers halve; the same for windows of 32
    assert [tuple(each.shape) for each in maps[0]] == [(3, 4, 13, bins) for bins in (33, 17, 9, 5, 5)]
    assert tuple(maps[1][-1].shape) == (3, 4, 29, 3)
    assert [tuple(each.shape) for each in PlaneScoreHead(trunk.hidden_sizes)(maps)] == [(3, 65), (3, 87)]


def test_spectra_keep_the_phase_and_the_energy():
    critic = SpectrogramCritic(64, 1, channels=1)
    sample = torch.arange(256)
    cosine, sine = (wave(2 * torch.pi * 8 * sample / 64)[None, None] for wave in (torch.cos, torch.sin))
    real, imaginary = critic.spectrum(cosine)[0]  # (N, F)
    # of each window, which begins with the wave at phase 0: half the sum of the window of unit energy
    expected = torch.hann_window(64).sum() / 2 / torch.hann_window(64).square().sum().sqrt()
    torch.testing.assert_close(real[:, 8], expected.expand(13), atol=1e-4, rtol=0)
    torch.testing.assert_close(imaginary[:, 8], torch.zeros(13), atol=1e-4, rtol=0)
    torch.testing.assert_close(critic.spectrum(sine)[0, 1, :, 8], -expected.expand(13), atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [1, 63])
def test_clips_shorter_than_a_window_are_judged_in_silence(samples):
    trunk = SpectrogramTrunk([64, 32], model_size=2)
    assert trunk(torch.ones(1, 1, samples))[0][-1].shape[2:] == (1, 5)


def test_compression_lifts_what_is_faint_and_keeps_the_phase():
    plain, compressed = (SpectrogramCritic(64, 1, 1, compression) for compression in (1.0, 0.3))
    waveform = 100.0 * torch.randn(1, 1, 256, generator=torch.Generator().manual_seed(0))
    known, found = (torch.complex(*critic.spectrum(waveform)[0]) for critic in (plain, compressed))
    torch.testing.assert_close(found.abs(), known.abs() ** 0.3, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.angle(), known.angle(), rtol=0, atol=1e-4)
    silence = torch.zeros(1, 1, 256, requires_grad=True)
    compressed.spectrum(silence).sum().backward()
    assert silence.grad.isfinite().all()
