"""Distances between features: what F makes of generated audio beside what it should be."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.errors import OptionError
from lightning_modules.networks.discriminator import FeatureMaps


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


class SlicedFeatureDistance(FeatureMapping):
    """Sliced Wasserstein distance of frames: whole distributions instead of means and covariances.

    Frames are projected on lines; on each, the sorted values of generated and of real frames are compared,
    (g_(i) - r_(i))², which is the squared 2-Wasserstein distance in one dimension. The lines are the features
    themselves, and random directions through pairs of frames `context` apart, drawn anew each time: there it
    shows whether harmonics sound together, and go on sounding.
    Source: Rabin et al. 2011, "Wasserstein Barycenter and its Application to Texture Mixing"; Heitz et al.
    2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis".

    Args:
        num_projections: Random directions.
        context: Frames between the two of a pair; 0 for directions through single frames.
    """

    paired = False

    def __init__(self, num_projections: int = 128, context: int = 4) -> None:
        super().__init__()
        if num_projections < 1 or context < 0:
            raise OptionError(
                f"SlicedFeatureDistance: num_projections is {num_projections} and context {context}",
                "give at least 1 projection and a context of 0 or more",
            )
        self.num_projections = num_projections
        self.context = context

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """See `FeatureMapping.forward`; B' = B. Mean over lines of each of the two kinds, added."""
        both = torch.stack([generated, real.to(generated.dtype)])  # (2, B, F, N)
        single = both.transpose(2, 3).flatten(1, 2)  # (2, B * N, F)
        pairs = frame_pairs(both, self.context).flatten(1, 2)
        directions = torch.randn(pairs.shape[-1], self.num_projections, device=both.device)
        projected = pairs @ functional.normalize(directions, dim=0)  # (2, B * N', directions)
        return quantile_distance(single) + quantile_distance(projected)


def frame_pairs(features: Tensor, context: int) -> Tensor:
    """Each frame beside the one `context` later: (..., F, N) -> (..., N - context, 2 F), or (..., N, F)."""
    frames = features.transpose(-1, -2)
    if context == 0:
        return frames
    return torch.cat([frames[..., :-context, :], frames[..., context:, :]], dim=-1)


def quantile_distance(values: Tensor) -> Tensor:
    """Mean squared difference of the sorted values of two samples, by column: (2, n, columns) -> scalar."""
    ordered = values.sort(dim=1).values
    return (ordered[0] - ordered[1]).square().mean()


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
