"""NetworkG: the coarse signal, straight from the latent."""

from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.blocks import overlap_add
from lightning_modules.numerics.precision import full_precision


class CoarseGenerator(nn.Module):
    """Plain two-layer fully connected network from each z to waveform samples.

    Each latent vector yields one frame of `overlap` hops, and the frames are added; with `overlap` 1 they are
    laid end to end. The last layer starts near zero, so that the network adds to what the decoder makes and
    not noise that the decoder would first have to cancel.

    Args:
        latent_size: Latent dimensions Z.
        hop_samples: Samples per latent vector.
        channels: Audio channels C.
        hidden_size: Width of the layer between.
        overlap: Frame length in hops.
    """

    def __init__(
        self, latent_size: int, hop_samples: int, channels: int = 1, hidden_size: int = 512, overlap: int = 2
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.hop_samples = hop_samples
        self.channels = channels
        self.hidden_size = hidden_size
        self.overlap = overlap
        self.hidden = nn.Linear(latent_size, hidden_size)
        self.output = nn.Linear(hidden_size, channels * overlap * hop_samples)
        nn.init.normal_(self.output.weight, std=0.001)
        nn.init.zeros_(self.output.bias)

    def forward(self, latent: Tensor) -> Tensor:
        """Synthesise (B, Z, L) as (B, C, L * hop_samples); samples in float32 under any autocast."""
        hidden = functional.gelu(self.hidden(latent.transpose(1, 2)))  # (B, L, H)
        with full_precision(hidden.device):
            frames = self.output(hidden.to(self.output.weight.dtype))  # (B, L, C * r * hop)
        frames = frames.unflatten(-1, (self.channels, -1)).transpose(1, 2)  # (B, C, L, r * hop)
        return overlap_add(frames, self.hop_samples)
