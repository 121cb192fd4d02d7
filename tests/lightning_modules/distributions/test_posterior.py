import torch
from torch.distributions import Normal

from lightning_modules.distributions.posterior import DiagonalGaussian


def test_log_prob_equals_torch_distributions():
    torch.manual_seed(0)
    mean, log_variance, latent = torch.randn(3, 2, 4, 5)
    posterior = DiagonalGaussian(mean, log_variance)
    expected = Normal(mean, torch.exp(log_variance).sqrt()).log_prob(latent)
    torch.testing.assert_close(posterior.log_prob(latent), expected)


def test_samples_have_the_mean_and_variance_of_the_posterior():
    torch.manual_seed(0)
    mean = torch.tensor([-1.0, 0.0, 2.0]).view(1, 3, 1).expand(1, 3, 200_000)
    log_variance = torch.tensor([-4.0, 0.0, 1.0]).view(1, 3, 1).expand(1, 3, 200_000)
    latent = DiagonalGaussian(mean, log_variance).sample()
    torch.testing.assert_close(latent.mean(2)[0], mean[0, :, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(latent.var(2)[0], log_variance[0, :, 0].exp(), atol=0, rtol=0.02)


def test_the_draw_is_differentiable_in_both_parameters():
    mean = torch.zeros(1, 1, 1, requires_grad=True)
    log_variance = torch.zeros(1, 1, 1, requires_grad=True)
    torch.manual_seed(3)
    DiagonalGaussian(mean, log_variance).sample().sum().backward()
    torch.manual_seed(3)
    noise = torch.randn(1, 1, 1)
    assert mean.grad.item() == 1.0
    torch.testing.assert_close(log_variance.grad, 0.5 * noise)  # d/dv exp(v / 2) noise at v = 0
