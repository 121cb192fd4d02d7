"""The evidence lower bound and its parts."""

from typing import NamedTuple

from torch import Tensor


class ELBO(NamedTuple):
    """ELBO = E_q[log p(x|z)] - KL(q(z|x) ‖ p(z)), clip by clip.

    Attributes:
        log_likelihood: (B,) log p(x|z) in nats for one draw of z.
        kl: (B,) KL in nats.
    """

    log_likelihood: Tensor
    kl: Tensor

    @property
    def value(self) -> Tensor:
        """(B,) the bound itself, in nats: weights and free bits never touch it."""
        return self.log_likelihood - self.kl


def free_bits(kl: Tensor, free_nats: float) -> Tensor:
    """KL of a batch where each latent dimension is charged for at least `free_nats` per frame.

    A dimension below the allowance gives no gradient, so nothing is gained by switching it off
    (Kingma et al. 2016, "Improved Variational Inference with Inverse Autoregressive Flow", eq. 15).

    Args:
        kl: (B, Z or 1, L) nats, as `Prior.forward` returns it.
        free_nats: Allowance in nats per dimension and latent frame; 0 leaves the KL as it is.

    Returns:
        Scalar, mean over clips, sum over dimensions and frames, in nats.
    """
    per_dimension = kl.mean(dim=(0, 2)).clamp_min(free_nats) if free_nats > 0 else kl.mean(dim=(0, 2))
    return per_dimension.sum() * kl.shape[2]
