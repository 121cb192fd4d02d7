"""Active units: the number of latent dimensions that carry information."""

import torch
from torch import Tensor

from lightning_modules.metrics.float64 import Float64Metric
from lightning_modules.numerics.precision import to_float64


class ActiveUnits(Float64Metric):
    """Number of latent dimensions whose posterior mean varies over the data.

    A dimension u is active if Var_x(E_q[u|x]) exceeds a threshold (Burda, Grosse, Salakhutdinov 2016,
    section 4.2); x runs over all latent frames of all clips. Sums are kept in float64.

    Args:
        latent_size: Latent dimensions Z.
        threshold: Variance from which on a unit counts.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    total_squared: Tensor

    def __init__(self, latent_size: int, threshold: float = 0.01) -> None:
        super().__init__()
        self.threshold = threshold
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(latent_size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total_squared", torch.zeros(latent_size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, posterior_mean: Tensor) -> None:
        """Add posterior means (B, Z, L)."""
        means = to_float64(posterior_mean).transpose(0, 1).flatten(1)  # (Z, B * L)
        self.count += means.shape[1]
        self.total += means.sum(1)
        self.total_squared += means.square().sum(1)

    def compute(self) -> Tensor:
        """Number of active units, a float scalar."""
        variance = self.total_squared / self.count - (self.total / self.count).square()
        return (variance > self.threshold).sum().float()
