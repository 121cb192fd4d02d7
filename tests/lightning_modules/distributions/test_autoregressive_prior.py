import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from lightning_modules.distributions.autoregressive_prior import AutoregressivePrior
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.errors import OptionError

SIZE, FRAMES = 3, 12


def make_prior(components: int = 4, seed: int = 0) -> AutoregressivePrior:
    """A prior with random weights everywhere, also where it starts at zero."""
    torch.manual_seed(seed)
    prior = AutoregressivePrior(SIZE, components, hidden_size=8, kernel_size=2, dilations=(1, 2))
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return prior.double().eval()


def posterior() -> DiagonalGaussian:
    torch.manual_seed(1)
    shape = (2, SIZE, FRAMES)
    return DiagonalGaussian(torch.randn(shape).double(), torch.randn(shape).double() - 1)


def factor(prior: AutoregressivePrior, latent: torch.Tensor, frame: int) -> MixtureSameFamily:
    """p(z_frame | z_<frame) of one clip, from nothing but the frames before."""
    before = torch.cat([prior.start[:, None], latent[:, :frame]], dim=1)
    mixture = prior.conditional(before[None])[0]
    deviation = torch.exp(0.5 * mixture.log_variance[0, ..., -1])
    components = Independent(Normal(mixture.mean[0, ..., -1].double(), deviation.double()), 1)
    return MixtureSameFamily(Categorical(logits=mixture.log_weights[0, :, -1].double()), components)


def test_log_density_equals_a_loop_over_frames():
    prior, latent = make_prior(), posterior().sample()
    expected = torch.stack(
        [
            torch.stack([factor(prior, z, frame).log_prob(z[:, frame]) for frame in range(FRAMES)])
            for z in latent
        ]
    )
    torch.testing.assert_close(prior.log_prob(latent).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("components", [1, 4])
def test_the_kl_equals_a_loop_over_frames(components):
    prior, q = make_prior(components), posterior()
    latent = q.sample()
    kl = prior(q, latent)
    for clip in range(2):
        for frame in range(FRAMES):
            own = Normal(q.mean[clip, :, frame], torch.exp(0.5 * q.log_variance[clip, :, frame]))
            p = factor(prior, latent[clip], frame)
            if components == 1:
                other = Normal(p.component_distribution.mean[0], p.component_distribution.stddev[0])
                expected = kl_divergence(own, other)
            else:
                value = latent[clip, :, frame]
                expected = (own.log_prob(value).sum() - p.log_prob(value))[None]
            torch.testing.assert_close(kl[clip, :, frame].double(), expected, rtol=1e-3, atol=1e-4)


def test_no_frame_sees_itself_or_a_later_one():
    prior = make_prior()
    latent = posterior().sample().requires_grad_()
    for frame in range(FRAMES):
        mixture = prior.given_before(latent)
        seen = torch.autograd.grad(mixture.mean[0, ..., frame].sum(), latent)[0][0].abs().sum(0)
        assert seen[frame:].max() == 0.0
        reach = prior.network.receptive_frames
        assert (seen[max(0, frame - reach) : frame] > 0).all()
        assert seen[: max(0, frame - reach)].sum() == 0.0


def test_sampling_frame_by_frame_follows_the_parallel_pass():
    prior = make_prior(components=1).float()
    latent = prior.sample(2, FRAMES, temperature=0.0)
    assert latent.std(dim=2).min() > 0.01
    # without noise each frame is the mean of its own conditional, given the frames before
    torch.testing.assert_close(prior.given_before(latent).mean[:, 0], latent, atol=1e-4, rtol=1e-4)


def test_samples_follow_the_density():
    """A random walk with a pull to zero: variance 1 / (1 - 0.8²), correlation 0.8 between frames."""
    prior = AutoregressivePrior(1, 1, hidden_size=4, dilations=(1,))
    mean = prior.given_before(torch.zeros(1, 1, 1)).mean
    assert mean.abs().max() == 0.0  # at the start: the standard normal

    def conditional(previous, past=None):
        mixture, past = AutoregressivePrior.conditional(prior, previous, past)
        return mixture._replace(mean=0.8 * previous.unsqueeze(1)), past

    prior.conditional = conditional
    torch.manual_seed(0)
    walk = prior.sample(2000, 40)[:, 0, 20:]
    assert walk.var().item() == pytest.approx(1 / 0.36, rel=0.05)
    correlation = (walk[:, 1:] * walk[:, :-1]).mean() / walk.square().mean()
    assert correlation.item() == pytest.approx(0.8, abs=0.02)


def test_it_learns_a_rhythm_that_no_independent_prior_can():
    """Every other frame is +1, the others -1, with little noise: given the past there is nothing to guess."""
    torch.manual_seed(0)
    prior = AutoregressivePrior(1, 2, hidden_size=16, dilations=(1,))
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(150):
        sign = torch.randint(0, 2, (16, 1, 1)) * 2.0 - 1.0
        latent = sign * torch.tensor([1.0, -1.0]).repeat(8) + 0.1 * torch.randn(16, 1, 16)
        loss = -prior.log_prob(latent).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    latent = prior.sample(8, 32)
    assert (latent.sign() == -latent.sign().roll(1, 2))[..., 1:].float().mean() > 0.95
    assert len({clip.item() for clip in latent[:, 0, 0].sign()}) == 2


def test_no_components():
    with pytest.raises(OptionError, match="num_components is 0"):
        AutoregressivePrior(3, 0)


def test_dilations_that_make_no_sense():
    with pytest.raises(OptionError, match=r"got kernel_size=1, dilations=\[1\]"):
        AutoregressivePrior(3, kernel_size=1, dilations=[1])
