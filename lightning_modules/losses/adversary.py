"""Critics of a model that resynthesises recordings: what they learn, and what they say of a resynthesis."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.losses.adversarial import (
    AdversarialLoss,
    HingeLoss,
    critic_loss,
    generator_loss,
    ranking_accuracy,
    score_per_clip,
)
from lightning_modules.losses.feature_mapping import feature_matching
from lightning_modules.networks.heads import ScoreHead
from lightning_modules.networks.spectrogram_trunk import PlaneScoreHead, SpectrogramTrunk
from lightning_modules.networks.trunk import Trunk


class Judgement(NamedTuple):
    """What critics say of resynthesised clips; scalars, with gradients.

    Attributes:
        adversarial: The adversarial loss of whoever made them, summed over critics.
        feature_matching: Distance of the critics' maps from those of the recordings.
    """

    adversarial: Tensor
    feature_matching: Tensor


class Adversary(nn.Module):
    """Critics on one trunk, against which a decoder trains.

    Args:
        trunk: W.
        score_head: D.
        adversarial_loss: Of D, and of the decoder against it.
    """

    def __init__(self, trunk: Trunk, score_head: ScoreHead, adversarial_loss: AdversarialLoss) -> None:
        super().__init__()
        self.trunk = trunk
        self.score_head = score_head
        self.adversarial_loss = adversarial_loss

    def forward(self, recorded: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """The critics' own loss on recordings and as many resynthesised clips.

        Args:
            recorded: (B, C, T).
            made: (B, C, T), of the same clips, without gradient.

        Returns:
            The loss, summed over critics, and the accuracy of `ranking_accuracy`: scalars.
        """
        scores = self.score_head(self.trunk(torch.cat([recorded, made])))
        clip_scores = score_per_clip(scores, 2 * len(made)).chunk(2)
        return critic_loss(self.adversarial_loss, scores), ranking_accuracy(*clip_scores)

    def judge(self, recorded: Tensor, made: Tensor) -> Judgement:
        """What the critics say of clips `made` of `recorded` ones, (B, C, T) each."""
        with torch.no_grad():
            known_maps = self.trunk(recorded)
            known = self.score_head(known_maps)
        maps = self.trunk(made)
        adversarial = generator_loss(self.adversarial_loss, self.score_head(maps), known)
        return Judgement(adversarial, feature_matching(maps, known_maps))


class SpectrogramAdversary(Adversary):
    """Critics of complex spectra at several resolutions: a `SpectrogramTrunk` and its scores.

    Args:
        fft_samples: Transform lengths in samples, one for each critic.
        model_size: Features of every layer; 32 as published.
        channels: Audio channels C.
        compression: Exponent of the magnitudes that they see; 1 as published.
        adversarial_loss: Of critics and decoder; None for a `HingeLoss`.
    """

    def __init__(
        self,
        fft_samples: Sequence[int] = (2048, 1024, 512, 256, 128),
        model_size: int = 32,
        channels: int = 1,
        compression: float = 1.0,
        adversarial_loss: AdversarialLoss | None = None,
    ) -> None:
        trunk = SpectrogramTrunk(fft_samples, model_size, channels, compression)
        head = PlaneScoreHead(trunk.hidden_sizes)
        super().__init__(trunk, head, adversarial_loss if adversarial_loss is not None else HingeLoss())
        self.fft_samples = trunk.fft_samples
        self.model_size = model_size
        self.channels = channels
        self.compression = compression
