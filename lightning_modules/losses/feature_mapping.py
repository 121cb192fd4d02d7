"""Distances between features: what F makes of generated audio beside what it should be."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.errors import OptionError
from lightning_modules.networks.trunk import FeatureMaps


class FeatureMapping(nn.Module, ABC):
    """Distance between the features of generated clips and of real ones."""

    paired: ClassVar[bool]
    """Whether clip b of both must be the same music, so that only a conditional generator will do."""

    @abstractmethod
    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Compare.

        Args:
            generated: (B, F, N).
            real: (B', F, N), without gradient; B' = B if `paired`.

        Returns:
            Scalar, non-negative, 0 for equal features.
        """


class FeatureStatistics(FeatureMapping):
    """Squared distance of feature means, and of covariances, over all clips and frames of a batch.

    ‖mean - mean'‖² / F + covariance_weight * ‖covariance - covariance'‖² / F, in units of squared features.
    Means alone can be matched by clips that are all alike; covariances ask for variety.

    Args:
        covariance_weight: Weight of the second term; 0 leaves it out.
    """

    paired = False

    def __init__(self, covariance_weight: float = 1.0) -> None:
        super().__init__()
        if covariance_weight < 0:
            raise OptionError(
                f"FeatureStatistics: covariance_weight is {covariance_weight}", "give 0 or more"
            )
        self.covariance_weight = covariance_weight

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """See `FeatureMapping.forward`."""
        size = generated.shape[1]
        mean, covariance = frame_statistics(generated)
        real_mean, real_covariance = frame_statistics(real)
        distance = (mean - real_mean).square().sum() / size
        if self.covariance_weight:
            distance = (
                distance + self.covariance_weight * (covariance - real_covariance).square().sum() / size
            )
        return distance


class PairedFeatureDistance(FeatureMapping):
    """Mean absolute difference of features, frame by frame, over clips, frames and features."""

    paired = True

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """See `FeatureMapping.forward`."""
        return (generated - real).abs().mean()


def frame_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and covariance (F, F) of features (B, F, N) over clips and frames, float32."""
    frames = features.float().transpose(1, 2).flatten(0, 1)  # (B * N, F)
    mean = frames.mean(0)
    centred = frames - mean
    return mean, centred.T @ centred / len(frames)


def feature_matching(generated: FeatureMaps, real: FeatureMaps) -> Tensor:
    """Mean absolute difference of the critics' own feature maps, summed over all layers of all critics.

    Compares a clip with its resynthesis; real maps are taken as constants.
    Source: Kumar et al. 2019, "MelGAN", eq. 4 (also HiFi-GAN's, eq. 5).

    Args:
        generated: Maps of generated clips.
        real: Maps of the same clips, real.

    Returns:
        Scalar, mean over clips, features and positions of each map.
    """
    distances = [
        (one - other.detach()).abs().mean()
        for one_critic, other_critic in zip(generated, real, strict=True)
        for one, other in zip(one_critic, other_critic, strict=True)
    ]
    return torch.stack(distances).sum()
