import pytest
import torch

from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.losses.elbo import ELBO, free_bits, importance_weighted_bound


def test_the_bound_is_likelihood_minus_kl():
    elbo = ELBO(torch.tensor([-10.0, 5.0]), torch.tensor([2.0, 3.0]))
    assert elbo.value.tolist() == [-12.0, 2.0]


def test_without_an_allowance_free_bits_is_the_mean_kl_of_a_clip():
    kl = torch.rand(3, 4, 5)
    torch.testing.assert_close(free_bits(kl, 0.0), kl.sum(dim=(1, 2)).mean())


def test_dimensions_below_the_allowance_cost_the_allowance_and_get_no_gradient():
    # two dimensions over 2 clips x 2 frames: means 0.1 and 2.0 nats; allowance 0.5
    kl = torch.tensor([[[0.0, 0.2], [1.0, 3.0]], [[0.1, 0.1], [2.0, 2.0]]], requires_grad=True)
    loss = free_bits(kl, 0.5)
    assert loss.item() == 2 * (0.5 + 2.0)  # frames x sum over dimensions
    loss.backward()
    assert kl.grad[:, 0].abs().max() == 0.0
    torch.testing.assert_close(kl.grad[:, 1], torch.full((2, 2), 0.5))  # 2 frames / (2 clips x 2 frames)


class LinearGaussian:
    """x = W z + noise with z ~ N(0, I): the one decoder whose log p(x) is known.

    The columns of W are orthogonal, so that the true posterior is diagonal.
    """

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.deviation = 0.5
        self.scale = torch.tensor([0.3, 1.0, 2.0])
        self.weight = torch.linalg.qr(torch.randn(8, 3))[0] * self.scale  # (T, Z)
        self.waveform = torch.randn(5, 1, 8)

    def decode(self, latent: torch.Tensor, num_samples: int) -> torch.Tensor:
        return (self.weight @ latent).transpose(1, 2)

    def evidence(self) -> torch.Tensor:
        covariance = self.weight @ self.weight.T + self.deviation**2 * torch.eye(8)
        return torch.distributions.MultivariateNormal(torch.zeros(8), covariance).log_prob(
            self.waveform[:, 0]
        )

    def posterior(self, shift: float = 0.0) -> DiagonalGaussian:
        variance = 1 / (self.scale.square() / self.deviation**2 + 1)
        mean = variance * (self.waveform[:, 0] @ self.weight) / self.deviation**2 + shift * variance.sqrt()
        return DiagonalGaussian(mean[..., None], variance.log().expand(5, 3)[..., None])

    def bound(self, num_draws: int, shift: float = 0.0) -> torch.Tensor:
        parts = StandardNormal(3), GaussianLikelihood(self.deviation), num_draws
        return importance_weighted_bound(self.waveform, self.posterior(shift), self.decode, *parts)


@pytest.mark.parametrize("num_draws", [1, 5])
def test_with_the_true_posterior_any_number_of_draws_gives_the_evidence(num_draws):
    model = LinearGaussian()
    torch.testing.assert_close(model.bound(num_draws), model.evidence(), atol=1e-3, rtol=0)


def test_with_a_wrong_posterior_the_bound_rises_from_the_elbo_to_the_evidence():
    model = LinearGaussian()
    torch.manual_seed(1)
    # a shift by one deviation in each of three dimensions: KL(q ‖ p(z|x)) = 3 / 2 nats
    gap = {
        draws: (
            model.evidence() - torch.stack([model.bound(draws, shift=1.0) for _ in range(1000 // draws)])
        ).mean()
        for draws in (1, 4, 1000)
    }
    assert gap[1].item() == pytest.approx(1.5, abs=0.1)
    assert gap[1] - 0.3 > gap[4] > gap[1000] + 0.1
    assert abs(gap[1000].item()) < 0.15
