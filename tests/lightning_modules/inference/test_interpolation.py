"""Paths against hand-computed points; ends that are what the model makes of them."""

import math

import numpy as np
import pytest
import soundfile
import torch
from toy_models import CLIP, RATE, make_vae, make_vocoder, make_wavegan

from lightning_modules.errors import OptionError
from lightning_modules.inference.interpolation import interpolate, linear_path, spherical_path
from lightning_modules.inference.sampling import drawn_clips


def latent(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None, :, None]


def test_points_of_the_paths():
    x, y = latent(2.0, 0.0), latent(0.0, 2.0)
    torch.testing.assert_close(linear_path(x, y, 0.25), latent(1.5, 0.5))
    angle = math.pi / 6  # a third of the quarter circle
    torch.testing.assert_close(spherical_path(x, y, 1 / 3), latent(2 * math.cos(angle), 2 * math.sin(angle)))
    for path in (linear_path, spherical_path):
        torch.testing.assert_close(path(x, y, 0.0), x)
        torch.testing.assert_close(path(x, y, 1.0), y)


def test_where_no_circle_is_the_line_is():
    for other in (latent(3.0, 0.0), latent(-1.0, 0.0), latent(0.0, 0.0)):
        expected = linear_path(latent(1.0, 0.0), other, 0.5)
        torch.testing.assert_close(spherical_path(latent(1.0, 0.0), other, 0.5), expected)


def test_frames_go_their_own_ways_and_keep_their_length():
    start, end = torch.randn(2, 1, 64, 50, generator=torch.Generator().manual_seed(0)).unbind()
    start, end = (8 * each / each.norm(dim=1, keepdim=True) for each in (start, end))
    torch.testing.assert_close(spherical_path(start, end, 0.5).norm(dim=1), torch.full((1, 50), 8.0))
    assert float(linear_path(start, end, 0.5).norm(dim=1).mean()) < 6.5


@pytest.mark.parametrize("make", [make_vae, make_wavegan])
def test_seeds_are_the_clips_that_generate_makes(make):
    module = make()
    steps = list(interpolate(module, ("3", "4"), 3))
    assert [weight for weight, _ in steps] == [0.0, 0.5, 1.0]
    for seed, (_, clip) in ((3, steps[0]), (4, steps[2])):
        torch.testing.assert_close(clip, next(drawn_clips(module, 1, CLIP, seed)))
    assert not torch.equal(steps[1][1], steps[0][1])


@pytest.mark.parametrize("make", [make_vae, make_vocoder])
def test_files_are_reconstructed_at_the_ends(make, tmp_path):
    module = make().requires_grad_(False)
    paths = []
    for name, samples in (("a.wav", 3000), ("b.wav", 2000)):
        waveform = np.random.default_rng(samples).normal(0, 0.1, samples)
        soundfile.write(tmp_path / name, waveform, RATE, subtype="FLOAT")
        paths.append(str(tmp_path / name))
    (_, first), (_, last) = interpolate(module, (paths[0], paths[1]), 2)
    assert first.shape == (1, 2000)
    whole = [torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None, None] for path in paths]
    torch.testing.assert_close(last, module.reconstruct(whole[1])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(first[:, :1000], module.reconstruct(whole[0])[0, :, :1000], atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed_first", [True, False])
def test_a_seed_is_as_long_as_the_file(seed_first, tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 3 * CLIP), RATE, subtype="FLOAT")
    ends = ("7", path) if seed_first else (path, "7")
    module = make_vae()
    clips = [clip for _, clip in interpolate(module, ends, 3)]
    assert [clip.shape for clip in clips] == [(1, 3 * CLIP)] * 3
    drawn = next(drawn_clips(module, 1, 3 * CLIP, 7))
    torch.testing.assert_close(clips[0 if seed_first else -1], drawn)


def test_what_a_model_cannot():
    with pytest.raises(OptionError, match=r"'a.wav' is no seed, and WaveGAN does not encode(.|\n)*two seeds"):
        next(interpolate(make_wavegan(), ("1", "a.wav"), 2))
    with pytest.raises(OptionError, match="this model cannot sample"):
        next(interpolate(make_vocoder(), ("1", "2"), 2))
