import functools
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from lightning_modules.distributions.likelihoods import GaussianLikelihood
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import StandardNormal
from lightning_modules.errors import CheckpointError, OptionError
from lightning_modules.losses.adversary import SpectrogramAdversary
from lightning_modules.losses.spectral import MultiResolutionSTFTLoss
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import ConvNeXtDecoder
from lightning_modules.networks.encoder import ConvNeXtEncoder
from lightning_modules.schedules.kl_weight import ConstantKLWeight, LinearWarmupKLWeight
from lightning_modules.vae import VAE

HOP, SIZE, CLIP = 16, 4, 256


def make_vae(channels: int = 1, **changes) -> VAE:
    torch.manual_seed(0)
    arguments = {
        "sample_rate": 16000,
        "clip_samples": CLIP,
        "encoder": ConvNeXtEncoder(channels, 8, strides=(4, 4), stem_channels=(6,), num_blocks=1),
        "prior": StandardNormal(SIZE),
        "likelihood": GaussianLikelihood(),
        "kl_weight": ConstantKLWeight(0.5),
        "optimizer": functools.partial(torch.optim.AdamW, lr=1e-2),
        "coarse_generator": CoarseGenerator(SIZE, HOP, channels, hidden_size=8),
        "decoder": ConvNeXtDecoder(SIZE, 8, HOP, channels, num_blocks=1),
        "latent_size": SIZE,
        "spectral_loss": MultiResolutionSTFTLoss([128, 64]),
        "spectral_weight": 0.7,
        "channels": channels,
    }
    return VAE(**(arguments | changes))


def clip_vae(**changes) -> VAE:
    return make_vae(
        latent="clip",
        coarse_generator=CoarseGenerator(SIZE, CLIP, hidden_size=8, overlap=1),
        decoder=ConvNeXtDecoder(3, 8, HOP, num_blocks=1),
        **changes,
    )


def audio(clips: int = 3, samples: int = CLIP, channels: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(clips, channels, samples, generator=torch.Generator().manual_seed(seed))


def make_batch(**shape: int) -> Batch:
    waveform = audio(**shape)
    zeros = torch.zeros(len(waveform), dtype=torch.long)
    return Batch(waveform, zeros, zeros)


def logged_step(model: VAE, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """One training step outside a Trainer, with what it logs."""
    logged = {}
    model.log = lambda name, value, **options: logged.update({name: float(value)})
    model.log_dict = lambda values, **options: logged.update({k: float(v) for k, v in values.items()})
    return model.training_step(batch, 0), logged


@pytest.mark.parametrize("samples", [1, HOP, CLIP - 1, CLIP, CLIP + 1, 1000])
@pytest.mark.parametrize("make", [make_vae, clip_vae])
def test_any_length_is_reconstructed_at_its_own_length(make, samples):
    model = make().eval()
    assert model.reconstruct(audio(2, samples)).shape == (2, 1, samples)
    assert model.sample(2, samples).shape == (2, 1, samples)


@pytest.mark.parametrize(("make", "frames"), [(make_vae, CLIP // HOP), (clip_vae, 1)])
def test_one_latent_per_frame_or_one_per_clip(make, frames):
    model = make()
    assert model.encode(audio()).mean.shape == (3, SIZE, frames)
    assert model.encode(audio(samples=2 * CLIP)).mean.shape == (3, SIZE, 2 * frames)


def test_stereo():
    model = make_vae(channels=2)
    assert model.reconstruct(audio(channels=2, samples=300)).shape == (3, 2, 300)


def test_the_latent_scale_cancels_in_the_output_and_moves_only_the_kl():
    model = make_vae().eval()
    with torch.no_grad():
        model.posterior_head.bias[SIZE:] = -13.0
    waveform = audio()
    torch.manual_seed(1)
    before = model(waveform)
    with torch.no_grad():
        model.tenth_of_log_scale.fill_(0.1 * torch.log(torch.tensor(0.5)))
    torch.manual_seed(1)
    after = model(waveform)
    torch.testing.assert_close(after.posterior.mean, 2 * before.posterior.mean)
    # the soft upper bound of the variance is the only part that does not scale
    far = before.posterior.log_variance < -12
    torch.testing.assert_close(
        after.posterior.log_variance[far], before.posterior.log_variance[far] + math.log(4)
    )
    torch.testing.assert_close(after.output, before.output, atol=1e-4, rtol=1e-4)
    assert far.any()
    assert (after.elbo.kl - before.elbo.kl).abs().min() > 0.1


def test_the_best_latent_scale_gives_a_unit_second_moment():
    model = make_vae().eval()
    waveform = audio()
    optimizer = torch.optim.Adam([model.tenth_of_log_scale], lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        model(waveform).elbo.kl.sum().backward()
        optimizer.step()
    posterior = model.encode(waveform)
    moment = (posterior.mean.square() + posterior.log_variance.exp()).mean(dim=(0, 2))
    torch.testing.assert_close(moment, torch.ones(SIZE), atol=0.02, rtol=0)


def test_a_loud_clip_does_not_drown_in_its_own_posterior():
    model = make_vae().eval()
    with torch.no_grad():
        model.posterior_head.weight.normal_(std=1.0)
    loud = model.encode(100 * audio()).log_variance.detach()
    assert loud.max() <= 1.0
    quiet = model.encode(audio(seed=1))
    raw = model.posterior_head(model.encoder(audio(seed=1)).transpose(1, 2)).transpose(1, 2)[:, SIZE:]
    expected = 1.0 - torch.log1p(torch.exp(1.0 - raw))
    torch.testing.assert_close(quiet.log_variance, expected.clamp_min(-20.0), atol=1e-4, rtol=1e-4)


def test_padding_with_silence_changes_nothing():
    model = make_vae().eval()
    short = audio(1, CLIP - 5)
    padded = torch.nn.functional.pad(short, (0, 5))
    torch.testing.assert_close(model.encode(short).mean, model.encode(padded).mean)


def test_output_is_the_sum_of_coarse_signal_and_residual():
    model = make_vae()
    latent = torch.randn(2, SIZE, 5)
    torch.testing.assert_close(model.decode(latent), model.coarse_generator(latent) + model.decoder(latent))
    without = make_vae(decoder=None)
    torch.testing.assert_close(without.decode(latent), without.coarse_generator(latent))
    alone = make_vae(coarse_generator=None)
    torch.testing.assert_close(alone.decode(latent), alone.decoder(latent))


def test_loss_is_the_sum_of_its_logged_weighted_parts():
    model = make_vae(free_nats=0.1)
    loss, logged = logged_step(model, make_batch())
    parts = {name: value for name, value in logged.items() if name.startswith("train/weighted/")}
    assert len(parts) == 3
    assert loss.item() == pytest.approx(sum(parts.values()), rel=1e-6)
    weights = {"negative_log_likelihood": 1.0, "kl": 0.5, "spectral": 0.7}
    for name, weight in weights.items():
        assert parts[f"train/weighted/{name}"] == pytest.approx(weight * logged[f"train/{name}"], rel=1e-6)


def test_without_spectral_loss_and_with_beta_1_the_loss_is_the_negative_elbo_per_sample():
    model = make_vae(spectral_loss=None, kl_weight=ConstantKLWeight(1.0))
    loss, logged = logged_step(model, make_batch())
    assert loss.item() == pytest.approx(-logged["train/elbo_nats_per_second"] / 16000, rel=1e-5)
    assert logged["train/bits_per_second"] == pytest.approx(
        logged["train/kl_nats_per_second"] * 1.442695, rel=1e-5
    )


def test_the_elbo_equals_an_independent_computation():
    model = make_vae().eval()
    waveform = audio()
    torch.manual_seed(5)
    result = model(waveform)
    torch.manual_seed(5)
    posterior = model.encode(waveform)
    noise = torch.randn_like(posterior.mean)
    latent = posterior.mean + posterior.log_variance.exp().sqrt() * noise
    output = model.coarse_generator(latent) + model.decoder(latent)
    q = torch.distributions.Normal(posterior.mean, (posterior.log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0, 1)).sum(dim=(1, 2))
    log_likelihood = torch.distributions.Normal(output, 0.02).log_prob(waveform).sum(dim=(1, 2))
    torch.testing.assert_close(result.elbo.value, log_likelihood - kl, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("make", [make_vae, clip_vae])
def test_gradients_reach_every_parameter(make):
    model = make()
    loss, _ = logged_step(model, make_batch())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_input_reaches_the_output_only_through_z(monkeypatch):
    model = make_vae()
    waveform = audio().requires_grad_()
    reached = torch.autograd.grad(model(waveform).output.sum(), waveform)[0]
    assert reached.abs().max() > 0  # with z in place there is a way
    fixed = torch.randn(3, SIZE, CLIP // HOP)
    monkeypatch.setattr(DiagonalGaussian, "sample", lambda self: fixed)
    assert torch.equal(model(waveform).output, model(audio(seed=9)).output)
    assert torch.autograd.grad(model(waveform).output.sum(), waveform, allow_unused=True)[0] is None


def test_beta_follows_its_schedule():
    model = make_vae(kl_weight=LinearWarmupKLWeight(1.0, warmup_steps=10))
    _, logged = logged_step(model, make_batch())
    assert logged["train/beta"] == 0.0
    assert logged["train/weighted/kl"] == 0.0
    assert logged["train/kl"] > 0.0


def test_bfloat16_autocast_keeps_the_likelihood_and_the_output_in_float32():
    model = make_vae()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = model(audio())
    assert result.output.dtype == result.elbo.log_likelihood.dtype == result.elbo.kl.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coarse_generator": None, "decoder": None}, "needs a coarse_generator, a decoder, or both"),
        ({"latent_size": 5}, "latent_size is 5 but decoder.latent_size is 4"),
        (
            {"channels": 2, "encoder": ConvNeXtEncoder(hidden_size=8)},
            "channels is 2 but encoder.channels is 1",
        ),
        (
            {"decoder": ConvNeXtDecoder(SIZE, 8, 32, num_blocks=1)},
            "encoder.hop_samples is 16 but decoder.hop_samples is 32",
        ),
        (
            {"coarse_generator": CoarseGenerator(SIZE, 32)},
            "samples per z is 16 but coarse_generator.hop_samples is 32",
        ),
        ({"latent": "clip"}, "samples per z is 256 but coarse_generator.hop_samples is 16"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make_vae(**changes)


class Losses(Callback):
    """Collects the loss of every step."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(outputs["loss"].item())


def fit(steps: int = 4) -> list[float]:
    """Losses of a few steps on fixed data, from a fixed seed."""
    model = make_vae()
    torch.manual_seed(7)
    loader = DataLoader([make_batch(clips=2, seed=seed) for seed in range(steps)], batch_size=None)
    losses = Losses()
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader)
    return losses.values


def test_the_importance_weighted_bound_stands_beside_the_elbo_of_the_same_clips():
    torch.manual_seed(0)
    model = make_vae(importance_samples=16)
    logged = {}
    model.log_evaluation = lambda figures, num_clips: logged.update(figures)
    clips = audio(clips=2, samples=3 * CLIP)
    with torch.no_grad():
        model._log_importance_weighted_bound(clips)
        short = torch.cat(clips.split(CLIP, dim=2))
        draws = [model(short).elbo.value.mean() for _ in range(200)]
        draws = torch.stack(draws) * model.sample_rate / CLIP
    bound, elbo = (logged[f"test/{name}_nats_per_second"] for name in ("iwae", "elbo_of_training_clips"))
    assert abs(elbo - draws.mean()) < 5 * draws.std()
    assert bound > draws.mean()


def test_a_fixed_seed_gives_bit_identical_losses():
    first = fit()
    assert len(set(first)) == 4
    assert fit() == first


def test_training_lowers_the_loss_on_a_fixed_batch():
    model = make_vae()
    batch = make_batch()
    optimizer = model.configure_optimizers()["optimizer"]
    first, _ = logged_step(model, batch)
    for _ in range(60):
        optimizer.zero_grad()
        logged_step(model, batch)[0].backward()
        optimizer.step()
    assert logged_step(model, batch)[0].item() < first.item() - 0.5


FROZEN = ("encoder.", "posterior_head.", "prior.", "likelihood.", "tenth_of_log_scale")


def adversarial_vae(checkpoint: Path | None) -> VAE:
    torch.manual_seed(0)
    adversary = SpectrogramAdversary([64, 32], model_size=2)
    return make_vae(adversary=adversary, checkpoint=checkpoint and str(checkpoint))


def train(model: VAE, steps: int, folder: Path, resume_from: Path | None = None) -> Path:
    """Train on the same clips at every step; returns the checkpoint."""
    loader = DataLoader([clip for clip in audio(4)], batch_size=4, collate_fn=stacked)
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    torch.manual_seed(7 if resume_from is None else 8)
    trainer.fit(model, loader, ckpt_path=resume_from)
    assert trainer.global_step == steps, "the critics' steps are not counted"
    path = folder / f"step{steps}.ckpt"
    trainer.save_checkpoint(path)
    return path


def stacked(clips: list[torch.Tensor]) -> Batch:
    zeros = torch.zeros(len(clips), dtype=torch.long)
    return Batch(torch.stack(clips), zeros, zeros)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return train(make_vae(), 3, tmp_path)


def test_an_adversary_trains_the_decoder_alone(trained, tmp_path):
    before = VAE.load_from_checkpoint(trained)
    path = train(adversarial_vae(trained), 3, tmp_path / "sharper")
    trained.unlink()  # the new checkpoint needs it no more
    after = VAE.load_from_checkpoint(path)
    moved = {
        name
        for name, weight in before.state_dict().items()
        if not torch.equal(weight, after.state_dict()[name])
    }
    assert moved and not [name for name in moved if name.startswith(FROZEN)]
    assert {name.partition(".")[0] for name in moved} == {"decoder", "coarse_generator"}
    clip = audio(1, 1000)
    for parameter in ("mean", "log_variance"):
        assert torch.equal(getattr(before.encode(clip), parameter), getattr(after.encode(clip), parameter))
    critics = SpectrogramAdversary([64, 32], model_size=2).state_dict()
    assert {f"adversary.{name}" for name in critics} < set(after.state_dict())


def test_an_adversarial_run_goes_on_exactly(trained, tmp_path, monkeypatch):
    # what is drawn of the posterior would need the random state, which the run's own callback restores
    monkeypatch.setattr(VAE, "draw_posterior", lambda self, waveform: self.encode(waveform).mean)
    whole = torch.load(train(adversarial_vae(trained), 4, tmp_path / "whole"), weights_only=True)
    half = train(adversarial_vae(trained), 2, tmp_path / "half")
    trained.unlink()  # a run that goes on reads its own checkpoint alone
    again = torch.load(train(adversarial_vae(trained), 4, tmp_path / "half", half), weights_only=True)
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, again["state_dict"][name]), name
    assert len(whole["optimizer_states"]) == len(again["optimizer_states"]) == 2


def test_an_adversarial_loss_is_what_it_says(trained):
    model = adversarial_vae(trained)
    model._take_weights(str(trained))
    logged = {}
    model.log_training = lambda name, loss, figures: logged.update({name: loss.item(), **figures})
    model.log_dict = lambda figures: logged.update(figures)
    for name in ("toggle_optimizer", "untoggle_optimizer"):
        setattr(model, name, lambda *arguments: None)
    losses = []
    model.manual_backward = losses.append
    model.optimizers = lambda: [NoStep(), NoStep()]
    model.lr_schedulers = lambda: None
    torch.manual_seed(1)
    model.training_step(make_batch(), 0)
    torch.manual_seed(1)
    waveform = make_batch().waveform
    output = model.decode(model.encode(waveform).sample(), CLIP).detach().requires_grad_()
    judgement = model.adversary.judge(waveform, output)
    likelihood = model.likelihood(waveform, output).mean() / CLIP
    loss = 0.7 * model.spectral_loss(output, waveform) - likelihood
    assert logged["loss"] == pytest.approx(loss.item(), rel=1e-5)
    slopes = [torch.autograd.grad(term, output, retain_graph=True)[0] for term in (loss, *judgement)]
    moved = slopes[0] + slopes[0].norm() * sum(slope / slope.norm() for slope in slopes[1:])
    assert losses[1].item() == pytest.approx((output * moved).sum().item(), rel=1e-4)
    critic = model.adversary(waveform, output)[0]
    assert logged["train/critic_adversarial"].item() == pytest.approx(critic.item(), rel=1e-5)


class NoStep:
    _on_before_step = _on_after_step = None

    def zero_grad(self) -> None:
        pass

    step = zero_grad


def test_an_adversary_needs_a_trained_vae(tmp_path):
    with pytest.raises(OptionError, match="checkpoint is None"):
        train(adversarial_vae(None), 1, tmp_path)


def test_the_weights_of_other_networks_are_refused(trained, tmp_path):
    other = make_vae(checkpoint=str(trained), coarse_generator=CoarseGenerator(SIZE, HOP, hidden_size=9))
    with pytest.raises(CheckpointError, match="hidden_size is 9, in the checkpoint 8"):
        train(other, 1, tmp_path)


def test_critics_of_other_audio_are_refused():
    with pytest.raises(OptionError, match=r"channels is 1 but adversary\.channels is 2"):
        make_vae(adversary=SpectrogramAdversary([64], model_size=2, channels=2))
