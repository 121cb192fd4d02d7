import math

import pytest
import torch

from lightning_modules.networks.waveform_head import FullyConnectedHead, InverseSTFTHead


def test_fully_connected_head_gives_the_samples_of_each_frame():
    torch.manual_seed(0)
    head = FullyConnectedHead(hidden_size=6, hop_samples=4, channels=2, overlap=1)
    hidden = torch.randn(3, 5, 6)
    expected = (hidden @ head.output.weight.T + head.output.bias).view(3, 5, 2, 4)
    torch.testing.assert_close(head(hidden), expected.transpose(1, 2).reshape(3, 2, 20))


def test_inverse_stft_head_equals_a_naive_weighted_overlap_add():
    torch.manual_seed(0)
    hop, frames = 16, 12
    head = InverseSTFTHead(hidden_size=8, hop_samples=hop)
    torch.nn.init.normal_(head.output.weight, std=0.3)
    hidden = torch.randn(1, frames, 8)
    parameters = head.output(hidden).view(1, frames, 2, 33)
    magnitude = parameters[:, :, 0].clamp(max=head.largest_log_magnitude).exp()
    spectrum = torch.polar(magnitude, parameters[:, :, 1]).transpose(1, 2)  # (1, F, N)
    window = torch.hann_window(64)
    # by hand: window, add, divide by the sum of squared windows
    pieces = torch.fft.irfft(spectrum.transpose(1, 2) * window.sum() / 2, n=64) * window
    total, envelope = torch.zeros(15 * hop), torch.zeros(15 * hop)
    for index in range(frames):
        total[index * hop : index * hop + 64] += pieces[0, index]
        envelope[index * hop : index * hop + 64] += window.square()
    inner = slice(3 * hop, 12 * hop)  # where four windows overlap
    ours = head(hidden)[0, 0]
    start = 3 * hop // 2
    torch.testing.assert_close(
        ours[3 * hop - start : 12 * hop - start],
        (total / envelope.clamp_min(1e-3))[inner],
        atol=1e-5,
        rtol=1e-4,
    )


def test_inverse_stft_head_turns_the_spectrum_of_a_sine_into_that_sine():
    hop = 64
    head = InverseSTFTHead(hidden_size=1, hop_samples=hop)
    with torch.no_grad():
        head.output.weight.zero_()
        log_magnitude, phase = head.output.bias.fill_(0.0).view(2, -1)
        log_magnitude.fill_(-30.0)
        # Hann's transform: the peak, and two neighbours of half its size and opposite sign. Bin 8: 8 periods
        # per window and 2 per hop, so every frame has the same phase.
        log_magnitude[7:10] = torch.tensor([0.125, 0.25, 0.125]).log()
        phase[7:10] = torch.tensor([math.pi, 0.0, math.pi])
    audio = head(torch.zeros(1, 40, 1))[0, 0]
    assert audio[4 * hop : -4 * hop].abs().max().item() == pytest.approx(0.25, rel=1e-4)


def test_heads_with_too_little_overlap_are_refused():
    with pytest.raises(ValueError, match="overlap >= 3 hops, got 2"):
        InverseSTFTHead(8, 16, overlap=2)
