import math

import pytest
import torch

from lightning_modules.losses.spectral import MultiResolutionSTFTLoss, spectral_distance


def noise(seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(seed))


def test_equal_waveforms_have_no_distance():
    assert MultiResolutionSTFTLoss()(noise(), noise()).item() == 0.0


def test_half_the_amplitude_is_half_convergence_plus_ln_2():
    # |X/2 - X| / |X| = 1/2 at every resolution, and every log ratio is ln 2 (noise stays above the floor)
    loss = MultiResolutionSTFTLoss(fft_samples=[512, 256], floor=1e-9)(0.5 * noise(), noise())
    assert loss.item() == pytest.approx(0.5 + math.log(2.0), rel=1e-4)


def test_spectral_distance_by_hand():
    estimate, target = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])
    assert spectral_distance(estimate, target).item() == pytest.approx(1 / math.sqrt(2) + math.log(2) / 2)


def test_gradient_is_finite_in_silence():
    estimate = torch.zeros(1, 1, 4096, requires_grad=True)
    MultiResolutionSTFTLoss()(estimate, noise()[:1, :, :4096]).backward()
    assert torch.isfinite(estimate.grad).all()


def test_gradient_descent_on_the_waveform_reaches_the_target_spectrum():
    target = noise(1)[:1]
    estimate = (noise(2)[:1]).clone().requires_grad_()
    loss = MultiResolutionSTFTLoss(fft_samples=[512])
    optimizer = torch.optim.Adam([estimate], lr=3e-3)
    start = loss(estimate, target).item()
    for _ in range(150):
        optimizer.zero_grad()
        loss(estimate, target).backward()
        optimizer.step()
    assert loss(estimate, target).item() < 0.5 * start


def test_lengths_below_the_overlap_are_refused():
    with pytest.raises(ValueError, match=r"fft_samples=\[2\], overlap=4"):
        MultiResolutionSTFTLoss(fft_samples=[2])
