"""The variational autoencoder: encode, sample z, decode; trained on the negative ELBO."""

from typing import Any, Literal, NamedTuple, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn import functional

from datamodules.batch import Batch
from lightning_modules.audio.framing import cut_into_clips, padded_to_frames
from lightning_modules.base import LatentModule, Samples
from lightning_modules.checkpoints.description import check_fits
from lightning_modules.checkpoints.file import read_checkpoint
from lightning_modules.compatibility import check_adversary, check_vae
from lightning_modules.distributions.likelihoods import Likelihood
from lightning_modules.distributions.posterior import DiagonalGaussian
from lightning_modules.distributions.priors import Prior, StandardNormal
from lightning_modules.errors import OptionError
from lightning_modules.losses.adversary import Adversary
from lightning_modules.losses.elbo import ELBO, free_bits, importance_weighted_bound
from lightning_modules.losses.spectral import SpectralLoss
from lightning_modules.losses.terms import Term, balanced_loss, weighted_sum
from lightning_modules.metrics.active_units import ActiveUnits
from lightning_modules.metrics.rates import kilobits_per_second
from lightning_modules.networks.coarse_generator import CoarseGenerator
from lightning_modules.networks.decoder import Decoder
from lightning_modules.networks.encoder import Encoder
from lightning_modules.numerics.log_parameter import log_of, log_parameter
from lightning_modules.optimization import (
    expect_partial_updates,
    step_schedulers,
    take_step,
    uncount,
    with_scheduler,
)
from lightning_modules.schedules.kl_weight import KLWeight

SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -20.0, 1.0
"""Of the posterior. A linear layer grows with the loudness of the clip: without an upper bound, here a little
above the prior's own variance, one loud attack is enough for exp() to drown a batch in noise."""


class VAEOutput(NamedTuple):
    """The result of a pass of clips through the VAE.

    Attributes:
        posterior: q(z|x), (B, Z, L).
        elbo: The bound of each clip.
        kl: (B, Z or 1, L) nats, as the prior factorises.
        output: (B, C, T), the mean of p(x|z).
    """

    posterior: DiagonalGaussian
    elbo: ELBO
    kl: Tensor
    output: Tensor


class VAE(LatentModule):
    """Variational autoencoder of raw audio (Kingma & Welling 2014).

    x (B, C, T) -> encoder -> fully connected layer -> q(z|x) = N(mean, diag exp(log_variance)) -> z, and
    the output is the coarse generator's signal (NetworkG) plus the decoder's residual. The loss, in nats
    per audio value, is -log p(x|z) + β KL(q(z|x) ‖ p(z)), plus `spectral_weight` times a spectral distance
    that is logged apart and is no part of the ELBO.

    With an `adversary`, a trained VAE goes on: decoder and NetworkG learn against critics, for sharper
    highs, from draws of the posterior, with the same likelihood and spectral terms as before. Encoder,
    posterior, prior and likelihood are frozen, so latents stay what they were to the bit; the KL term is no
    part of the loss. Steps are updates of the decoder; the critics take one in each.

    Args:
        sample_rate: Rate of the audio in Hz.
        clip_samples: Training clip length in samples.
        encoder: Waveform to features, (B, C, T) -> (B, H, L).
        prior: p(z).
        likelihood: p(x|z).
        kl_weight: Schedule of β over optimiser steps.
        optimizer: Makes the optimiser from the parameters.
        coarse_generator: NetworkG, z to the coarse signal; None leaves the decoder alone.
        decoder: z to the residual; None leaves the coarse generator alone.
        latent_size: Latent dimensions Z.
        latent: `frames`, one z per latent frame (B, Z, L), or `clip`, one z per clip (B, Z, 1); audio longer
            than `clip_samples` then has one z per `clip_samples`.
        spectral_loss: Spectral distance, or None.
        spectral_weight: Its weight.
        free_nats: KL allowance in nats per latent dimension and frame, for the loss only.
        lr_scheduler: Makes a scheduler from the optimiser, stepped at every optimiser step.
        channels: Audio channels C.
        deterministic: Whether z is the posterior mean, also in training: with β = 0 a plain autoencoder,
            whose ELBO means nothing.
        importance_samples: Draws K of the importance-weighted bound (IWAE) at `test`; 0 leaves it out.
        checkpoint: Of a VAE of the same networks, whose weights a new run starts from; read by `fit` alone.
        adversary: Critics that the decoder trains against, or None. Needs a `checkpoint` to start from.
        critic_optimizer: Makes their optimiser.
        adversarial_weight: How much their loss moves the decoder's output beside likelihood and spectral term
            (`balanced_loss`).
        feature_matching_weight: The same for the distance between their maps of output and recording.

    Raises:
        OptionError: If the parts do not fit each other; the text names both.
    """

    def __init__(
        self,
        sample_rate: int,
        clip_samples: int,
        encoder: Encoder,
        prior: Prior,
        likelihood: Likelihood,
        kl_weight: KLWeight,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        coarse_generator: CoarseGenerator | None = None,
        decoder: Decoder | None = None,
        latent_size: int = 32,
        latent: Literal["frames", "clip"] = "frames",
        spectral_loss: SpectralLoss | None = None,
        spectral_weight: float = 1.0,
        free_nats: float = 0.0,
        lr_scheduler: LRSchedulerCallable | None = None,
        channels: int = 1,
        deterministic: bool = False,
        importance_samples: int = 8,
        checkpoint: str | None = None,
        adversary: Adversary | None = None,
        critic_optimizer: OptimizerCallable = torch.optim.AdamW,
        adversarial_weight: float = 1.0,
        feature_matching_weight: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, clip_samples, channels)
        self.encoder = encoder
        self.prior = prior
        self.likelihood = likelihood
        self.kl_weight = kl_weight
        self.optimizer = optimizer
        self.coarse_generator = coarse_generator
        self.decoder = decoder
        self.latent_size = latent_size
        self.latent = latent
        self.spectral_loss = spectral_loss
        self.spectral_weight = spectral_weight
        self.free_nats = free_nats
        self.lr_scheduler = lr_scheduler
        self.deterministic = deterministic
        # nothing held a plain autoencoder's latents to the prior
        self.lacks = frozenset({Samples}) if deterministic else frozenset()
        self.latent_is_gaussian = isinstance(prior, StandardNormal)
        self.importance_samples = importance_samples
        self.checkpoint = checkpoint
        self._goes_on = False
        self.adversary = adversary
        self.critic_optimizer = critic_optimizer
        self.adversarial_weight = adversarial_weight
        self.feature_matching_weight = feature_matching_weight
        self.frames_per_latent = 1 if latent == "frames" else -(-clip_samples // encoder.hop_samples)
        self.latent_hop_samples = self.frames_per_latent * encoder.hop_samples
        check_vae(
            encoder,
            coarse_generator,
            decoder,
            channels,
            latent_size,
            self.frames_per_latent,
            latent_is_per_frame=latent == "frames",
        )
        self.posterior_head = self._make_posterior_head()
        self.tenth_of_log_scale = log_parameter(0.0, latent_size)
        # one z per clip: a fully connected layer spreads it over the frames that the decoder works on
        spread_size = decoder.latent_size * self.frames_per_latent if decoder is not None else 0
        self.spread = (
            nn.Linear(latent_size, spread_size) if decoder is not None and latent == "clip" else None
        )
        self.active_units = ActiveUnits(latent_size)
        prior.connect(self.encode)
        if adversary is not None:
            check_adversary(adversary, channels)
            self.automatic_optimization = False
            for part in (encoder, self.posterior_head, prior, likelihood, self.tenth_of_log_scale):
                part.requires_grad_(False)

    def _make_posterior_head(self) -> nn.Linear:
        """Fully connected layer to mean and log variance, started at a narrow posterior around zero."""
        head = nn.Linear(self.encoder.hidden_size * self.frames_per_latent, 2 * self.latent_size)
        nn.init.normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
        with torch.no_grad():
            head.bias[self.latent_size :] = -2.0
        return head

    def encode(self, waveform: Tensor) -> DiagonalGaussian:
        """Posterior of clips.

        Args:
            waveform: (B, C, T), any T >= 1; padded with silence to a whole number of latent frames.

        Returns:
            q(z|x) with parameters (B, Z, L), L = ceil(T / samples per latent).
        """
        hidden = self.encoder(padded_to_frames(waveform, self.latent_hop_samples))  # (B, H, frames)
        hidden = (
            hidden.unflatten(2, (-1, self.frames_per_latent)).transpose(2, 3).flatten(1, 2)
        )  # (B, H * g, L)
        mean, log_variance = self.posterior_head(hidden.transpose(1, 2)).transpose(1, 2).chunk(2, dim=1)
        log_scale = self.latent_log_scale()
        log_variance = log_variance.float() - 2.0 * log_scale
        # a soft bound: even far above it there is a gradient that leads back
        log_variance = LARGEST_LOG_VARIANCE - functional.softplus(LARGEST_LOG_VARIANCE - log_variance)
        return DiagonalGaussian(
            mean.float() * torch.exp(-log_scale), log_variance.clamp_min(SMALLEST_LOG_VARIANCE)
        )

    def latent_log_scale(self) -> Tensor:
        """Log of the scale (Z, 1) at which the networks see each latent dimension.

        The prior asks for latents of unit variance; the networks, at first, work with small ones. Posterior
        and decoder input share this learned scale, so it cancels in the output and the KL term alone moves
        it: its optimum is a unit second moment of z over the data. Without it that takes thousands of
        steps, costs -ln(scale) nats per value meanwhile, and draws from the prior are like nothing that was
        trained on. Kept as a tenth for the same reason as the likelihood's variance: Adam takes equal
        steps.
        """
        return log_of(self.tenth_of_log_scale).unsqueeze(1)

    def decode(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """Mean of p(x|z): coarse signal plus residual.

        Args:
            latent: (B, Z, L).
            num_samples: Length T to crop to; all that the latents give by default.

        Returns:
            (B, C, T) float32, unbounded.
        """
        latent = latent * torch.exp(self.latent_log_scale())
        parts = []
        if self.coarse_generator is not None:
            parts.append(self.coarse_generator(latent).float())
        if self.decoder is not None:
            parts.append(self.decoder(self._decoder_frames(latent)).float())
        return torch.stack(parts).sum(0)[..., :num_samples]

    def _decoder_frames(self, latent: Tensor) -> Tensor:
        """(B, Z, L) latents as the frames that the decoder reads, (B, Z', L * g)."""
        if self.spread is None:
            return latent
        frames = self.spread(latent.transpose(1, 2)).transpose(1, 2)  # (B, Z' * g, L)
        return frames.unflatten(1, (-1, self.frames_per_latent)).transpose(2, 3).flatten(2, 3)

    def forward(self, waveform: Tensor) -> VAEOutput:
        """Encode, draw z, decode, and score the clip (B, C, T) under the result."""
        posterior = self.encode(waveform)
        latent = posterior.mean if self.deterministic else posterior.sample()
        output = self.decode(latent, waveform.shape[-1])
        kl = self.prior(posterior, latent)  # (B, Z or 1, L)
        elbo = ELBO(self.likelihood(waveform, output), kl.sum(dim=(1, 2)))
        return VAEOutput(posterior, elbo, kl, output)

    def setup(self, stage: str) -> None:
        """Prepare distributed training for updates of one side at a time."""
        if self.adversary is not None:
            expect_partial_updates(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember that this run goes on from a checkpoint of its own; refuse one that does not fit."""
        super().on_load_checkpoint(checkpoint)
        self._goes_on = True

    def on_fit_start(self) -> None:
        """Start from the weights of `checkpoint`, unless the run goes on from one of its own.

        Raises:
            OptionError: If there is an adversary, and no weights to start from.
            CheckpointError: If the weights are of other networks.
        """
        if self._goes_on:
            return
        if self.checkpoint is not None:
            self._take_weights(self.checkpoint)
        elif self.adversary is not None:
            raise OptionError(
                "VAE: an adversary sharpens the decoder of a trained VAE, and checkpoint is None",
                "give --model.init_args.checkpoint runs/vae/<id>/checkpoints/best.ckpt",
            )

    def _take_weights(self, path: str) -> None:
        """Load the weights of another VAE; critics begin anew."""
        content = read_checkpoint(path)
        critics = "adversary."
        weights = {name: each for name, each in self.state_dict().items() if name.startswith(critics)}
        for name, each in content["state_dict"].items():
            if not name.startswith(critics):
                weights[name] = each
        check_fits(self, {**content, "state_dict": weights})
        self.load_state_dict(weights)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Negative ELBO plus the spectral term, in nats per sample of audio; or the adversarial stage."""
        if self.adversary is not None:
            self._train_decoder(batch.waveform, self.adversary)
            return None
        result = self(batch.waveform)
        beta = self.kl_weight(self.global_step)
        num_values = batch.waveform[0].numel()
        terms = {
            "negative_log_likelihood": Term(1.0, -result.elbo.log_likelihood.mean() / num_values),
            "kl": Term(beta, free_bits(result.kl, self.free_nats) / num_values),
        }
        terms |= self._spectral_term(batch.waveform, result.output)
        loss, figures = weighted_sum(terms)
        rates = self._rates(result.elbo, batch.waveform.shape[-1])
        self.log_training("loss", loss, {"beta": beta, **figures, **rates})
        return loss

    def _spectral_term(self, waveform: Tensor, output: Tensor) -> dict[str, Term]:
        """The spectral distance of outputs from clips, (B, C, T) each, by its name; empty without it."""
        if self.spectral_loss is None:
            return {}
        return {"spectral": Term(self.spectral_weight, self.spectral_loss(output, waveform))}

    def _train_decoder(self, waveform: Tensor, adversary: Adversary) -> None:
        """One update of the critics, then one of decoder and NetworkG, on clips (B, C, T)."""
        decoder_optimizer, critic_optimizer = cast(list[LightningOptimizer], self.optimizers())
        uncount(critic_optimizer)
        with torch.no_grad():
            latent = self.draw_posterior(waveform)
        output = self.decode(latent, waveform.shape[-1])
        critic_loss, accuracy = adversary(waveform, output.detach())
        take_step(self, critic_optimizer, critic_loss)
        self.log_dict({"train/critic_adversarial": critic_loss.detach(), "train/critic_accuracy": accuracy})
        self.toggle_optimizer(decoder_optimizer)  # no gradients of the critics
        judgement = adversary.judge(waveform, output)
        likelihood = self.likelihood(waveform, output).mean() / waveform[0].numel()
        loss, figures = weighted_sum(
            {
                "negative_log_likelihood": Term(1.0, -likelihood),
                **self._spectral_term(waveform, output),
            }
        )
        terms = {
            "generator_adversarial": Term(self.adversarial_weight, judgement.adversarial),
            "feature_matching": Term(self.feature_matching_weight, judgement.feature_matching),
        }
        take_step(self, decoder_optimizer, balanced_loss(loss, terms, output))
        figures |= {name: term.value.detach() for name, term in terms.items()}
        self.untoggle_optimizer(decoder_optimizer)
        self.log_training("loss", loss, figures)
        step_schedulers(self)

    def _rates(self, elbo: ELBO, num_samples: int) -> dict[str, Tensor]:
        """Mean ELBO parts of clips of T samples, in nats (and bits) per second of audio."""
        per_second = self.sample_rate / num_samples
        kl = elbo.kl.detach().mean() * per_second
        return {
            "elbo_nats_per_second": elbo.value.detach().mean() * per_second,
            "log_likelihood_nats_per_second": elbo.log_likelihood.detach().mean() * per_second,
            "kl_nats_per_second": kl,
            "bits_per_second": 1000.0 * kilobits_per_second(kl),
        }

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the true ELBO (β = 1, no free bits) and count the active latent units."""
        self._evaluation_step("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same for the test split, and the importance-weighted bound."""
        self._evaluation_step("test", batch)
        if self.importance_samples > 0 and not self.deterministic:
            self._log_importance_weighted_bound(batch.waveform)

    def _log_importance_weighted_bound(self, waveform: Tensor) -> None:
        """Log the importance-weighted bound of the waveform cut into clips of the training length.

        Over longer ones the largest of the K weights alone would count. The ELBO of the same clips is logged
        beside it: it is not that of the whole waveform, since networks see less at a clip's ends.
        """
        clips = cut_into_clips(waveform, self.clip_samples)
        bounds, elbos = [], []
        for part in clips.split(len(waveform)):
            result = self(part)
            elbos.append(result.elbo.value)
            bounds.append(
                importance_weighted_bound(
                    part, result.posterior, self.decode, self.prior, self.likelihood, self.importance_samples
                )
            )
        per_second = self.sample_rate / clips.shape[-1]
        rates = {
            "test/iwae_nats_per_second": torch.cat(bounds).mean() * per_second,
            "test/elbo_of_training_clips_nats_per_second": torch.cat(elbos).mean() * per_second,
        }
        self.log_evaluation(rates, len(waveform))

    def _evaluation_step(self, stage: str, batch: Batch) -> None:
        result = self(batch.waveform)
        num_clips = len(batch.waveform)
        rates = self._rates(result.elbo, batch.waveform.shape[-1])
        self.log_evaluation({f"{stage}/{name}": rate for name, rate in rates.items()}, num_clips)
        self.active_units.update(result.posterior.mean)
        self.log(
            f"{stage}/active_units", self.active_units, on_step=False, on_epoch=True, batch_size=num_clips
        )

    def draw_latent(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        """Draw from the prior; see `HasLatents.draw_latent`."""
        num_frames = -(-(num_samples or self.clip_samples) // self.latent_hop_samples)
        return self.prior.sample(num_clips, num_frames, temperature)

    def encode_latent(self, waveform: Tensor) -> Tensor:
        """The posterior mean; see `HasLatents.encode_latent`."""
        return self.encode(waveform).mean

    def decode_latent(self, latent: Tensor, num_samples: int | None = None) -> Tensor:
        """Mean of p(x|z) within full scale; see `HasLatents.decode_latent`."""
        return self.decode(latent, num_samples).clamp(-1.0, 1.0)

    def draw_posterior(self, waveform: Tensor) -> Tensor:
        """See `HasPrior.draw_posterior`."""
        posterior = self.encode(waveform)
        return posterior.mean if self.deterministic else posterior.sample()

    def latent_prior(self) -> Prior:
        """See `HasPrior.latent_prior`."""
        return self.prior

    def replace_prior(self, prior: Prior) -> None:
        """See `HasPrior.replace_prior`."""
        self.prior = prior.to(self.device)
        self.lacks = frozenset()

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of ten forms
        """One optimiser over everything; with an adversary, the decoder's and the critics', in this order.

        The scheduler, if any, is stepped with them.
        """
        if self.adversary is not None:
            parts = (self.decoder, self.coarse_generator, self.spread)
            synthesis = nn.ModuleList(part for part in parts if part is not None)
            return [
                with_scheduler(self.optimizer(synthesis.parameters()), self.lr_scheduler),
                with_scheduler(self.critic_optimizer(self.adversary.parameters()), self.lr_scheduler),
            ]
        return with_scheduler(self.optimizer(self.parameters()), self.lr_scheduler, every_step=True)
