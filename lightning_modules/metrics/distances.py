"""Distances between two sets of vectors, stateless: Fréchet, kernel (MMD), nearest neighbour, diversity."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.numerics.precision import to_float64


class Moments(NamedTuple):
    """A Gaussian fitted to vectors.

    Attributes:
        mean: (F,) float64.
        covariance: (F, F) float64, divided by n - 1 as usual for Fréchet distances.
    """

    mean: Tensor
    covariance: Tensor


def moments(points: Tensor) -> Moments:
    """Mean and covariance of the rows of (N, F), in float64; a single row has no covariance."""
    points = to_float64(points)
    mean = points.mean(0)
    centred = points - mean
    return Moments(mean, centred.T @ centred / max(len(points) - 1, 1))


def moments_of_sums(count: Tensor, total: Tensor, outer: Tensor) -> Moments:
    """The same from sums: how many vectors (), their sum (F,) and the sum of their outer products (F, F)."""
    mean = total / count
    return Moments(mean, (outer - count * torch.outer(mean, mean)) / (count - 1).clamp_min(1))


def frechet_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Tensor:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians.

    ‖m - m'‖² + tr C + tr C' - 2 tr (C^½ C' C^½)^½ (Dowson and Landau 1982); the matrix under the last root is
    symmetric, so its eigenvalues alone are needed, and rounding never makes anything complex.

    Args:
        mean: (F,).
        covariance: (F, F), symmetric, positive semidefinite.
        other_mean: (F,).
        other_covariance: (F, F).

    Returns:
        Non-negative float64 scalar, in squared units of the features.
    """
    mean, covariance, other_mean, other_covariance = (
        to_float64(value) for value in (mean, covariance, other_mean, other_covariance)
    )
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T
    common = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp_min(0.0).sqrt().sum()
    distance = (
        (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2.0 * common
    )
    return distance.clamp_min(0.0)


def kernel_distance(points: Tensor, other: Tensor, max_points: int = 2000) -> Tensor:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) of rows (N, F) and (N', F).

    Unlike the Fréchet distance it does not grow when there are few vectors. The kernel is Gaussian, as wide
    as the median distance between rows of `other`, so the result does not depend on the features' units.

    Args:
        points: At least two rows.
        other: At least two rows: the reference.
        max_points: Most rows used of each, evenly spaced.

    Returns:
        Float64 scalar: about 0, also a little below, for equal distributions; at most 2.
    """
    points, other = (to_float64(_thinned(rows, max_points)) for rows in (points, other))
    scale = torch.pdist(other).square().median().clamp_min(torch.finfo(torch.float32).tiny)
    within = [(_gaussian(x, x, scale).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (points, other)]
    return within[0] + within[1] - 2.0 * _gaussian(points, other, scale).mean()


def _gaussian(points: Tensor, other: Tensor, scale: Tensor) -> Tensor:
    """(N, N') values exp(-‖x - y‖² / scale)."""
    # exact also between equal rows, where the product form would leave rounding noise
    return torch.exp(
        -torch.cdist(points, other, compute_mode="donot_use_mm_for_euclid_dist").square() / scale
    )


def _thinned(points: Tensor, max_points: int) -> Tensor:
    if len(points) <= max_points:
        return points
    return points[torch.linspace(0, len(points) - 1, max_points, device=points.device).long()]


def mean_pairwise_distance(points: Tensor) -> Tensor:
    """Mean over all pairs of distinct rows of (N, F) of the root mean squared difference; 0 for one row."""
    if len(points) < 2:
        return points.new_zeros(())
    return torch.nn.functional.pdist(points).mean() / points.shape[1] ** 0.5


def nearest_distances(points: Tensor, references: Tensor) -> Tensor:
    """Root mean squared difference of each row of (N, F) to the nearest row of (N', F): (N,) float64."""
    distances = torch.cdist(
        to_float64(points), to_float64(references), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return distances.amin(1) / points.shape[1] ** 0.5
