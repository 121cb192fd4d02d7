import torch

from lightning_modules.losses.elbo import ELBO, free_bits


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
