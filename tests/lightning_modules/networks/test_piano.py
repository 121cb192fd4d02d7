"""The differentiable piano: pitch, partials, dynamics, blocks, and gradients that point home."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_notes import note_batch

from datamodules.batch import NoteBatch
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss
from lightning_modules.networks.piano import DifferentiablePiano

RATE = 16_000
LOSS = MultiResolutionSTFTLoss([2048, 1024, 512])


@pytest.fixture(scope="module")
def piano() -> DifferentiablePiano:
    torch.manual_seed(0)
    return DifferentiablePiano(RATE).requires_grad_(False)


@torch.no_grad()
def render(piano: DifferentiablePiano, notes: NoteBatch, seconds: float = 1.0) -> Tensor:
    return piano(notes, round(seconds * piano.sample_rate))


def peak_near(waveform: Tensor, frequency: float, sample_rate: int = RATE) -> float:
    """Frequency in Hz of the strongest bin within a quarter tone, between bins by a parabola."""
    window = torch.hann_window(len(waveform), periodic=True, dtype=torch.float64)
    level = torch.fft.rfft(waveform.double() * window, 4 * len(waveform)).abs().log().numpy()
    width = sample_rate / (4 * len(waveform))
    low, high = (math.floor(frequency * ratio / width) for ratio in (2 ** (-1 / 24), 2 ** (1 / 24)))
    top = low + int(np.argmax(level[low : high + 1]))
    left, middle, right = level[top - 1 : top + 2]
    return width * (top + 0.5 * (left - right) / (left - 2 * middle + right))


@pytest.mark.parametrize("key", range(33, 97, 7))
def test_a_scale_is_in_tune(piano: DifferentiablePiano, key: int):
    """Each fundamental is within 3 cents of the one that the key's parameters say, as the ear measures it."""
    waveform = render(piano, note_batch([[(key, 0.0, 9.0, 80)]]), 2.0)[0, 0]
    expected = piano.tone.frequency()[key - 21, 0].item()
    assert 1200 * abs(math.log2(expected / (440 * 2 ** ((key - 69) / 12)))) < 25  # stretched, but tempered
    assert 1200 * abs(math.log2(peak_near(waveform, expected) / expected)) < 3


def test_partials_are_where_stiffness_puts_them(piano: DifferentiablePiano):
    waveform = render(piano, note_batch([[(45, 0.0, 9.0, 100)]]), 2.0)[0, 0]
    stiffness = piano.tone.log_inharmonicity()[45 - 21].exp().item()
    first = peak_near(waveform, piano.tone.frequency()[45 - 21, 0].item())
    for n in (2, 5, 9, 14):
        expected = n * first * math.sqrt((1 + stiffness * n * n) / (1 + stiffness))
        assert 1200 * abs(math.log2(peak_near(waveform, expected) / expected)) < 3


def test_level_rises_with_every_step_of_velocity(piano: DifferentiablePiano):
    loud = render(piano, note_batch([[(60, 0.0, 9.0, velocity)] for velocity in range(1, 128)]), 0.3)
    level = loud.square().mean((1, 2))
    assert (level[1:] > level[:-1]).all()


def test_two_identical_calls_are_identical_and_start_nothing_random(piano: DifferentiablePiano):
    notes = note_batch([[(60, 0.1, 0.5, 80), (64, 0.2, 0.9, 50)]])
    state = torch.random.get_rng_state()
    assert torch.equal(render(piano, notes), render(piano, notes))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_piece_in_blocks_equals_the_piece_whole(piano: DifferentiablePiano):
    random = np.random.default_rng(0)
    onsets = np.sort(random.uniform(0.0, 6.0, 60)).tolist()
    rows = [(int(random.integers(21, 109)), on, on + random.exponential(1.0), 80) for on in onsets]
    block = 6 * piano.block_samples
    whole = render(piano, note_batch([rows]), 4 * block / RATE)[0, 0]
    for number in range(4):
        start = number * block
        moved = note_batch([[(key, on - start / RATE, off - start / RATE, v) for key, on, off, v in rows]])
        exact = note_batch([rows])  # the onsets' fractions are those of the whole piece
        moved = moved._replace(
            onset_sample=exact.onset_sample - start,
            onset_fraction=exact.onset_fraction,
            start_sample=torch.tensor([start]),
        )
        part = render(piano, moved, block / RATE)[0, 0]
        torch.testing.assert_close(part, whole[start : start + block], atol=2e-5, rtol=0)
    assert whole.abs().max() > 0.05


def test_a_clip_inside_a_long_note_is_the_part_of_the_note(piano: DifferentiablePiano):
    minutes = 3 * 60
    start = minutes * RATE
    start -= start % piano.block_samples
    slow = DifferentiablePiano(RATE)
    with torch.no_grad():
        slow.tone.log_decay.knots -= 6.0  # rings for an hour
        far = slow(note_batch([[(60, -start / RATE, 1e6, 100)]], start_sample=start), RATE)[0, 0]
    frequency = slow.tone.frequency()[39, 0].item()
    time = (torch.arange(RATE, dtype=torch.float64) + start) / RATE
    turning = torch.exp(-2j * math.pi * frequency * time)
    phase = [
        torch.angle((part * turning_part).sum()).item()
        for part, turning_part in zip(far.double().split(RATE // 4), turning.split(RATE // 4), strict=True)
    ]
    # a fundamental that has kept its phase for three minutes does not turn against the formula's
    assert np.ptp(np.unwrap(phase)) < 0.3


def test_each_clip_of_a_batch_is_what_it_is_alone(piano: DifferentiablePiano):
    first, second = [(40, 0.1, 0.5, 80)], [(64, 0.2, 0.9, 50), (67, -1.0, 0.3, 60), (70, 0.5, 0.6, 90)]
    both = render(piano, note_batch([first, second]))
    alone = torch.cat([render(piano, note_batch([notes])) for notes in (first, second)])
    torch.testing.assert_close(both, alone, atol=2e-6, rtol=0)


def test_a_note_to_come_a_note_long_gone_and_no_note_are_silent(piano: DifferentiablePiano):
    quiet = render(piano, note_batch([[(60, 1.5, 2.0, 100)], [(60, -40.0, -39.0, 100)], []]))
    assert quiet.abs().max() < 1e-3
    torch.testing.assert_close(quiet[0], quiet[2])


def test_the_damper_ends_the_sound_but_not_of_the_highest_strings(piano: DifferentiablePiano):
    for key, falls in ((60, True), (96, False)):
        held, damped = render(piano, note_batch([[(key, 0.0, 9.0, 90)], [(key, 0.0, 0.2, 90)]]))
        ratio = (damped[0, 9000:].norm() / held[0, 9000:].norm()).item()
        assert (ratio < 0.15) == falls


def test_the_attack_is_where_the_onset_is(piano: DifferentiablePiano):
    waveform = render(piano, note_batch([[(72, 0.5, 9.0, 90)]]))[0, 0]
    assert waveform[: RATE // 2 - 80].abs().max() < 1e-3
    assert waveform[RATE // 2 : RATE // 2 + 320].abs().max() > 0.25 * waveform.abs().max()


def test_two_microphones_hear_what_their_parameters_say():
    stereo = DifferentiablePiano(RATE, channels=2, num_partials=8)
    with torch.no_grad():
        stereo.pan[0, 1] = -1.0
        left, right = stereo(note_batch([[(60, 0.0, 9.0, 90)]]), RATE)[0]
    assert (left.norm() / right.norm()).item() == pytest.approx(math.e, rel=0.05)


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 44_100])
def test_the_same_note_at_any_rate(sample_rate: int):
    torch.manual_seed(0)
    other = DifferentiablePiano(sample_rate).requires_grad_(False)
    waveform = render(other, note_batch([[(69, 0.1, 9.0, 90)]], sample_rate), 1.1)[0, 0]
    expected = other.tone.frequency()[48, 0].item()
    found = peak_near(waveform[round(0.1 * sample_rate) :], expected, sample_rate)
    assert 1200 * abs(math.log2(found / expected)) < 3
    assert waveform.shape == (round(1.1 * sample_rate),)


def test_the_gain_of_augmentation_is_that_of_the_sound(piano: DifferentiablePiano):
    notes = note_batch([[(60, 0.1, 0.5, 80)]])
    louder = render(piano, notes._replace(gain=torch.tensor([-2.0])))
    torch.testing.assert_close(louder, -2.0 * render(piano, notes))


# --- gradients point home ---


def chord(velocity: float = 70.0, onset: float = 0.2) -> NoteBatch:
    notes = note_batch([[(60, onset, 0.8, 70), (64, onset, 0.8, 70), (67, onset, 0.8, 70)]])
    return notes._replace(velocity=torch.tensor([[70.0, velocity, 70.0]]))


def test_a_wrong_velocity_is_heard_and_pulled_back(piano: DifferentiablePiano):
    target = render(piano, chord())
    for wrong in (40.0, 100.0):
        velocity = torch.tensor([[70.0, wrong, 70.0]], requires_grad=True)
        loss = LOSS(piano(chord()._replace(velocity=velocity), RATE), target)
        loss.backward()
        assert loss > 0.02
        assert velocity.grad is not None
        assert math.copysign(1.0, velocity.grad[0, 1].item()) == math.copysign(1.0, wrong - 70.0)


@pytest.mark.parametrize("late", [-240.0, -48.0, 24.0, 160.0])
def test_a_late_note_is_heard_and_pulled_back(piano: DifferentiablePiano, late: float):
    notes = note_batch([[(67, 0.3, 0.8, 70)]])
    target = render(piano, notes)
    shift = torch.tensor([[late]], requires_grad=True)
    loss = LOSS(piano(notes._replace(onset_fraction=notes.onset_fraction + shift), RATE), target)
    loss.backward()
    assert loss > 0.02
    assert shift.grad is not None
    assert math.copysign(1.0, shift.grad.item()) == math.copysign(1.0, late)


def test_a_wrong_note_is_made_softer_and_the_right_one_louder(piano: DifferentiablePiano):
    target = render(piano, note_batch([[(60, 0.2, 0.9, 80)]]))
    # the wrong note beside a timid right one: which way do their velocities go?
    both = note_batch([[(60, 0.2, 0.9, 30), (66, 0.2, 0.9, 80)]])
    velocity = both.velocity.clone().requires_grad_()
    loss = LOSS(piano(both._replace(velocity=velocity), RATE), target)
    loss.backward()
    assert velocity.grad is not None
    right, wrong = velocity.grad[0].tolist()
    assert right < 0 < wrong
    assert loss > 2 * LOSS(render(piano, note_batch([[(60, 0.2, 0.9, 70)]])), target)


def test_every_parameter_learns_and_gradients_are_finite():
    model = DifferentiablePiano(RATE, channels=2)
    notes = note_batch([[(key, 0.2 + 0.001 * key, 0.5, 80) for key in range(21, 109, 6)]])
    model(notes, RATE).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # the mean velocity is the standard one here: there is nothing to turn up or down
        assert parameter.grad.any() or name == "tone.recording_gain", name
