"""Adversarial losses of the critic D and the generator G."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError


class Verdict(NamedTuple):
    """Scores of real clips by the critic.

    Attributes:
        scores: (B,) one score per clip.
        converted: (B, F, N) features that F gave; None without F.
    """

    scores: Tensor
    converted: Tensor | None


class AdversarialLoss(nn.Module, ABC):
    """A pair of losses on scores, where a higher score means more real."""

    @abstractmethod
    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """Loss of the critic.

        Args:
            real: Scores of real clips, any shape.
            generated: Scores of generated clips, any shape.

        Returns:
            Scalar, mean over clips and positions.
        """

    @abstractmethod
    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """Loss of the generator.

        Args:
            generated: Scores of generated clips, any shape.
            real: Scores of the same clips as recorded, of that shape; None where nothing is resynthesised.

        Returns:
            Scalar, mean over clips and positions.
        """

    def forward(self, real: Tensor, generated: Tensor) -> Tensor:
        """The same as `critic`."""
        return self.critic(real, generated)


class NonSaturatingLoss(AdversarialLoss):
    """D gives the probability that a clip is real, sigmoid(score); G maximises it for its own.

    Source: Goodfellow et al. 2014, "Generative Adversarial Nets", section 3 (the second form of G's loss).
    """

    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """-log D(real) - log(1 - D(generated)), in nats."""
        return functional.softplus(-real).mean() + functional.softplus(generated).mean()

    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """-log D(generated), in nats."""
        return functional.softplus(-generated).mean()


class WassersteinLoss(AdversarialLoss):
    """Difference of mean scores; needs a critic of bounded slope, so a gradient penalty beside it.

    Source: Arjovsky, Chintala, Bottou 2017, "Wasserstein GAN", eq. 2.
    """

    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """E[D(generated)] - E[D(real)]."""
        return generated.mean() - real.mean()

    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """-E[D(generated)]."""
        return -generated.mean()


class HingeLoss(AdversarialLoss):
    """The critic wants scores beyond ±1 and no further; G wants high ones.

    Source: Lim and Ye 2017, "Geometric GAN", section 3; the loss of MelGAN.
    """

    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """E[max(0, 1 - D(real))] + E[max(0, 1 + D(generated))]."""
        return functional.relu(1.0 - real).mean() + functional.relu(1.0 + generated).mean()

    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """-E[D(generated)]."""
        return -generated.mean()


class LeastSquaresLoss(AdversarialLoss):
    """The critic regresses to 1 for real and 0 for generated; G wants 1.

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", eq. 9, without its halves; the
    loss of HiFi-GAN.
    """

    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """E[(D(real) - 1)²] + E[D(generated)²]."""
        return (real - 1.0).square().mean() + generated.square().mean()

    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """E[(D(generated) - 1)²]."""
        return (generated - 1.0).square().mean()


class RelativisticLoss(AdversarialLoss):
    """The critic scores a recording above its resynthesis, G the other way round: only differences count.

    Of pairs, position by position, so for models that resynthesise. Near-copies of a recording go on being
    told from it, where the hinge is content with both beyond its margins.
    Source: Jolicoeur-Martineau 2019, "The relativistic discriminator", eqs. 8 and 9, with f the logarithm of
    the sigmoid.
    """

    def critic(self, real: Tensor, generated: Tensor) -> Tensor:
        """-log sigmoid(D(real) - D(generated)), in nats."""
        return functional.softplus(generated - real).mean()

    def generator(self, generated: Tensor, real: Tensor | None = None) -> Tensor:
        """-log sigmoid(D(generated) - D(real)), in nats."""
        if real is None:
            raise OptionError(
                "RelativisticLoss compares a clip with its resynthesis, and this model makes none",
                "use HingeLoss, or another loss of one clip at a time",
            )
        return functional.softplus(real - generated).mean()


def critic_loss(loss: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """Sum over critics of their loss; each scored real clips, and then as many generated ones."""
    return torch.stack([loss.critic(*score.chunk(2)) for score in scores]).sum()


def generator_loss(
    loss: AdversarialLoss, scores: Sequence[Tensor], real: Sequence[Tensor] | None = None
) -> Tensor:
    """Sum over critics of the generator's loss, from scores of its clips and, if known, of the real ones."""
    known = [None] * len(scores) if real is None else real
    pairs = zip(scores, known, strict=True)
    return torch.stack([loss.generator(*pair) for pair in pairs]).sum()


def ranking_accuracy(real: Tensor, generated: Tensor) -> Tensor:
    """Accuracy at which scores tell real from generated clips, whatever loss they were trained for.

    The share of (real, generated) pairs in which the real clip scores higher, ties counting half: 1 if the
    critic rejects all that is generated, 0.5 if it cannot tell, the area under its ROC curve.

    Args:
        real: (B,) one score per clip.
        generated: (B',) one score per clip.

    Returns:
        Scalar in [0, 1], without gradient.
    """
    difference = real.detach().float()[:, None] - generated.detach().float()[None, :]
    return (difference.sign() + 1.0).mean() / 2.0


def score_per_clip(scores: Sequence[Tensor], num_clips: int) -> Tensor:
    """Mean over critics of each clip's mean score: (B,), from the scores that a `ScoreHead` gives."""
    return torch.stack([score.reshape(num_clips, -1).mean(1) for score in scores]).mean(0)
