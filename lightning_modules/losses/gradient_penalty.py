"""A penalty on the critic's slope, which makes the Wasserstein loss a distance."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class GradientPenalty(nn.Module):
    """Mean squared deviation of the critic's slope from 1, between real and generated clips.

    At points x̂ = real + mix * (generated - real) on the lines between pairs of clips, (‖∇D(x̂)‖ - 1)², the
    norm over channels and samples. Float32 whatever the precision around it: squared gradients of half
    precision overflow or vanish.
    Source: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3, without its λ.
    """

    def forward(
        self, critic: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, mix: Tensor
    ) -> Tensor:
        """Measure the slope.

        Args:
            critic: (B, C, T) to (B,) scores.
            real: (B, C, T).
            generated: (B, C, T).
            mix: (B,), where on each line; uniform in [0, 1) as published.

        Returns:
            Scalar, mean over clips, differentiable with respect to the critic's parameters.
        """
        with torch.autocast(real.device.type, enabled=False), torch.enable_grad():
            start, end = real.detach().float(), generated.detach().float()
            points = torch.lerp(start, end, mix.view(-1, 1, 1)).requires_grad_()  # (B, C, T)
            (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
            return (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1.0).square().mean()
