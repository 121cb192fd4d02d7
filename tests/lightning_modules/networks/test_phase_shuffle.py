import pytest
import torch

from lightning_modules.networks.phase_shuffle import PhaseShuffle, shift_reflected


def reflected(position: int, length: int) -> int:
    """Index that a reflection about the first and the last frame leads to."""
    return abs(position) if position < length else 2 * (length - 1) - position


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_reflected_frames_are_the_right_ones(shift):
    hidden = torch.arange(6.0).view(1, 6, 1)
    expected = [float(reflected(frame - shift, 6)) for frame in range(6)]
    assert shift_reflected(hidden, [shift]).flatten().tolist() == expected


def test_by_hand():
    hidden = torch.tensor([10.0, 11, 12, 13]).view(1, 4, 1)
    assert shift_reflected(hidden, [2]).flatten().tolist() == [12, 11, 10, 11]
    assert shift_reflected(hidden, [-1]).flatten().tolist() == [11, 12, 13, 12]


@pytest.mark.parametrize("shifts", [[1], [-2], [2, 0, -1]])
def test_derivatives_of_the_shift(shifts):
    hidden = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: shift_reflected(x, shifts), hidden)
    assert torch.autograd.gradgradcheck(lambda x: shift_reflected(x, shifts), hidden)


def observed_shifts(shuffle: PhaseShuffle, clips: int) -> list[int]:
    """The shift of each clip: frames of a ramp tell where they came from."""
    ramp = torch.arange(32.0).expand(clips, 32).unsqueeze(2)
    return (16 - shuffle(ramp)[:, 16, 0]).int().tolist()


def test_one_shift_per_pass():
    torch.manual_seed(0)
    shuffle = PhaseShuffle(2)
    passes = [observed_shifts(shuffle, 4) for _ in range(60)]
    assert all(len(set(shifts)) == 1 for shifts in passes)
    assert {shifts[0] for shifts in passes} == {-2, -1, 0, 1, 2}


def test_one_shift_per_clip():
    torch.manual_seed(0)
    shifts = observed_shifts(PhaseShuffle(2, per_clip=True), 500)
    counts = torch.bincount(torch.tensor(shifts) + 2, minlength=5)
    assert counts.min() > 70 and len(counts) == 5


def test_never_in_evaluation():
    shuffle = PhaseShuffle(2).eval()
    assert observed_shifts(shuffle, 50) == [0] * 50


def test_negative_radius():
    with pytest.raises(ValueError, match="PhaseShuffle needs radius >= 0, got -1"):
        PhaseShuffle(-1)
