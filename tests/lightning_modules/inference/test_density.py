import os

import numpy as np
import pytest
import torch

from lightning_modules.distributions.autoregressive_prior import AutoregressivePrior
from lightning_modules.distributions.mixture_priors import GaussianMixture
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.errors import CheckpointError, OptionError
from lightning_modules.inference.density import (
    AutoregressiveFit,
    ExpectationMaximisation,
    density_path,
    load_density,
    nats_per_frame,
    save_density,
)


def four_islands() -> GaussianMixture:
    """Four components well apart."""
    truth = GaussianMixture(2, 4)
    means = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    truth.load_state_dict({"logits": logits, "mean": means, "log_variance": torch.full((4, 2), -2.0)})
    return truth


def draws(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return four_islands().sample(30, 50).detach()


def test_expectation_maximisation_finds_the_mixture_and_its_size():
    estimator = ExpectationMaximisation(max_components=16)
    density = estimator.fit(draws(0))
    assert density.num_components == 4
    assert list(estimator.criteria) == [1, 2, 4, 8]
    held_out = draws(1)
    assert nats_per_frame(density, held_out) == pytest.approx(
        nats_per_frame(four_islands(), held_out), abs=0.02
    )
    assert nats_per_frame(density, held_out) > nats_per_frame(StandardNormal(2), held_out) + 1.0
    order = density.logits.softmax(0).argsort()
    torch.testing.assert_close(density.mean[order], four_islands().mean.detach(), atol=0.1, rtol=0)


def test_its_criterion_is_that_of_its_density():
    """BIC / 2N = -mean log density + parameters / 2N * ln N, where the last fit is the chosen one."""
    latent = draws(0)
    estimator = ExpectationMaximisation(max_components=4)
    density = estimator.fit(latent)
    frames, parameters = 1500, 4 * 2 + 4 * 2 + 3
    expected = -nats_per_frame(density, latent) + parameters * np.log(frames) / (2 * frames)
    assert estimator.criteria[4] == pytest.approx(expected, abs=1e-3)


def test_the_autoregressive_fit_beats_what_takes_frames_for_independent():
    """A slow random walk: each frame tells the next to 0.1."""
    torch.manual_seed(0)
    step = 0.1 * torch.randn(40, 1, 32)
    walk = torch.randn(40, 1, 1) + step.cumsum(2)
    state = torch.get_rng_state()
    density = AutoregressiveFit(num_components=1, hidden_size=16, steps=150, learning_rate=1e-2).fit(
        walk[:30]
    )
    assert torch.equal(torch.get_rng_state(), state)
    held_out = walk[30:]
    independent = ExpectationMaximisation(max_components=4).fit(walk[:30])
    assert nats_per_frame(density, held_out) > nats_per_frame(independent, held_out) + 0.5


@pytest.mark.parametrize(
    "density", [GaussianMixture(3, 2), AutoregressivePrior(3, 2, hidden_size=8, dilations=[1, 2])]
)
def test_a_density_opens_from_its_path(tmp_path, density):
    path = density_path(tmp_path / "best.ckpt")
    assert path.name == "best.density.npz"
    save_density(density, path, "best.ckpt")
    saved = load_density(path)
    assert type(saved.density) is type(density)
    assert saved.checkpoint == "best.ckpt"
    latent = torch.randn(2, 3, 6)
    torch.testing.assert_close(saved.density.log_prob(latent), density.log_prob(latent))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", header=np.array([{"format": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="no density, or damaged"):
        load_density(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "no density, or damaged"), (b"PK\x03\x04abc", "no density, or damaged")],
)
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "a.density.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        load_density(path)
    assert "lightning fit_density" in str(raised.value)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.density.npz")
    with pytest.raises(CheckpointError, match="no file"):
        load_density(tmp_path / "a.density.npz")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_spoilt_weights_are_refused(tmp_path, value):
    density = GaussianMixture(3, 2)
    density.mean.data[0, 0] = value
    save_density(density, tmp_path / "a.density.npz", "best.ckpt")
    with pytest.raises(CheckpointError, match=r"a\.density\.npz is .*damaged \(mean holds NaN or infinity\)"):
        load_density(tmp_path / "a.density.npz")


def test_another_class_in_the_header_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    header = '{"format": 1, "checkpoint": "a", "density": {"class_path": "torch.nn.Linear", "init_args": {}}}'
    np.savez(path, header=np.array(header))
    with pytest.raises(CheckpointError, match="which is no part of this program"):
        load_density(path)


def test_options_that_make_no_sense():
    with pytest.raises(OptionError, match="max_components=0"):
        ExpectationMaximisation(max_components=0)
    with pytest.raises(OptionError, match="steps is 0"):
        AutoregressiveFit(steps=0)
