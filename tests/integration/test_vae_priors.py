"""The VAE with each of its priors: gradients, parameters, checkpoints, samples."""

import functools

import pytest
import torch
from torch import nn

from lightning_modules.base import GenerativeModule, can_sample
from lightning_modules.checkpoints.description import describe, instantiate
from lightning_modules.distributions.autoregressive_prior import AutoregressivePrior
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.mixture_priors import GaussianMixture, VampPrior
from lightning_modules.distributions.priors import Prior, StandardNormal
from lightning_modules.errors import OptionError
from lightning_modules.inference.density import save_density, use_density
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.schedules.kl_weight import ConstantKLWeight
from lightning_modules.vae import VAE

HOP, SIZE, CLIP = 16, 4, 256

PRIORS = {
    "standard normal": lambda: StandardNormal(SIZE),
    "one component": lambda: GaussianMixture(SIZE, 1),
    "mixture": lambda: GaussianMixture(SIZE, 3),
    "VampPrior": lambda: VampPrior(3, pseudo_samples=5 * HOP),
    "autoregressive": lambda: AutoregressivePrior(SIZE, 2, hidden_size=8, dilations=[1, 2]),
}


def make_vae(prior: Prior, **changes) -> VAE:
    torch.manual_seed(0)
    arguments = {
        "sample_rate": 16000,
        "clip_samples": CLIP,
        "encoder": ConvNeXtEncoder(1, 8, strides=(4, 4), stem_channels=(6,), num_blocks=1),
        "prior": prior,
        "likelihood": GaussianLikelihood(),
        "kl_weight": ConstantKLWeight(1.0),
        "optimizer": functools.partial(torch.optim.AdamW, lr=1e-2),
        "coarse_generator": CoarseGenerator(SIZE, HOP, hidden_size=8),
        "latent_size": SIZE,
    }
    return VAE(**(arguments | changes))


def audio(clips: int = 3, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(clips, 1, CLIP, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=PRIORS.values(), ids=PRIORS.keys())
def model(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(3)
    return make_vae(request.param())


def test_gradients_reach_every_parameter(model):
    if isinstance(model.prior, AutoregressivePrior):  # which starts deaf to the past
        nn.init.normal_(model.prior.network.output.weight, std=0.1)
    (-model(audio()).elbo.value).mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_the_kl_of_a_clip_is_that_of_its_frames(model):
    result = model(audio())
    assert result.kl.shape[0] == 3 and result.kl.shape[2] == CLIP // HOP
    torch.testing.assert_close(result.elbo.kl, result.kl.sum(dim=(1, 2)))


def test_samples_take_any_length(model):
    assert model.sample(2, 100).shape == (2, 1, 100)


def test_a_checkpoint_describes_the_prior(model):
    twin = instantiate(describe(model), GenerativeModule)
    twin.load_state_dict(model.state_dict())
    latent = torch.randn(2, SIZE, 5)
    torch.testing.assert_close(twin.prior.log_prob(latent), model.prior.log_prob(latent))


def test_samples_come_from_a_density_that_is_put_in_place_of_the_prior(tmp_path):
    model = make_vae(StandardNormal(SIZE), deterministic=True)
    assert not can_sample(model)
    density = GaussianMixture(SIZE, 1, spread=1.0)
    torch.nn.init.constant_(density.log_variance, -40.0)  # all but a point
    save_density(density, tmp_path / "a.density.npz", "a.ckpt")
    use_density(model, tmp_path / "a.density.npz")
    assert can_sample(model)
    frames = density.mean[0][None, :, None].expand(2, SIZE, CLIP // HOP)
    torch.testing.assert_close(model.sample(2), model.decode(frames).clamp(-1, 1), atol=1e-5, rtol=1e-4)


def test_a_density_of_other_latents_is_refused(tmp_path):
    save_density(GaussianMixture(SIZE + 1, 2), tmp_path / "a.density.npz", "a.ckpt")
    with pytest.raises(OptionError, match="density of 5 latent dimensions, and the model has 4"):
        use_density(make_vae(StandardNormal(SIZE)), tmp_path / "a.density.npz")


def test_vamp_prior_registers_no_parameter_of_the_encoder_twice():
    prior = VampPrior(3, pseudo_samples=5 * HOP)
    model = make_vae(prior)
    own = {"prior.logits", "prior.pseudo_inputs"}
    assert {name for name, _ in model.named_parameters(remove_duplicate=False) if "prior" in name} == own
    assert {name for name in model.state_dict() if name.startswith("prior")} == own
    # and yet it moves with the encoder
    latent = torch.randn(2, SIZE, 5)
    before = prior.log_prob(latent)
    with torch.no_grad():
        model.posterior_head.bias += 0.5
    assert (prior.log_prob(latent) - before).abs().min() > 0
