"""Heads on the trunk: D, which scores clips as real or generated, and F, which gives their features."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.errors import OptionError
from lightning_modules.networks.generator import FIRST_FRAMES
from lightning_modules.networks.trunk import FeatureMaps, trunk_size


class ScoreHead(nn.Module, ABC):
    """D: the last layer of each critic.

    Attributes:
        hidden_sizes: Features H that it reads from each critic's last map.
    """

    hidden_sizes: list[int]

    @abstractmethod
    def forward(self, maps: FeatureMaps) -> list[Tensor]:
        """Score clips.

        Args:
            maps: As a trunk gives them.

        Returns:
            The scores of each critic, (N, positions), N as in the critic's maps; higher is more real.
            Unbounded float32: a loss that wants a probability takes the sigmoid.
        """


class DenseScoreHead(ScoreHead):
    """The published WaveGAN's: all frames of the last map to one number.

    Args:
        hidden_size: Features H of the trunk's last map.
        num_frames: Its frames L; 16 for a trunk that was built for the clip length.
    """

    def __init__(self, hidden_size: int, num_frames: int = 16) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_frames = num_frames
        self.hidden_sizes = [hidden_size]
        self.output = nn.Linear(num_frames * hidden_size, 1)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, maps: FeatureMaps) -> list[Tensor]:
        """See `ScoreHead.forward`: (B, 1)."""
        (critic,) = maps
        hidden = critic[-1].transpose(1, 2)  # (B, L, H)
        if hidden.shape[1] != self.num_frames:
            raise OptionError(
                f"DenseScoreHead: num_frames is {self.num_frames}, but the trunk gives {hidden.shape[1]}",
                "give clips of the length that the trunk was built for, or set num_frames",
            )
        return [self.output(hidden.flatten(1)).float()]


class WaveGANScoreHead(DenseScoreHead):
    """`DenseScoreHead` in the size that fits a `WaveGANTrunk`.

    Args:
        clip_samples: Length T of the clips, as the trunk's.
        model_size: Width d, as the trunk's.
    """

    def __init__(self, clip_samples: int, model_size: int = 64) -> None:
        super().__init__(trunk_size(clip_samples, model_size), FIRST_FRAMES)
        self.clip_samples = clip_samples
        self.model_size = model_size


class ConvolutionalScoreHead(ScoreHead):
    """A score at each position of each critic's last map, as in MelGAN and HiFi-GAN.

    Args:
        hidden_sizes: Features H of each critic's last map.
        kernel_size: Positions that a score sees; odd.
    """

    def __init__(self, hidden_sizes: Sequence[int], kernel_size: int = 3) -> None:
        super().__init__()
        self.hidden_sizes = list(hidden_sizes)
        self.kernel_size = kernel_size
        self.outputs = nn.ModuleList(
            weight_norm(nn.Conv1d(size, 1, kernel_size, padding=kernel_size // 2)) for size in hidden_sizes
        )

    def forward(self, maps: FeatureMaps) -> list[Tensor]:
        """See `ScoreHead.forward`: (N, L)."""
        return [
            output(critic[-1]).squeeze(1).float() for output, critic in zip(self.outputs, maps, strict=True)
        ]


class FeatureHead(nn.Module, ABC):
    """F, the converter: trunk features to the features of the original signal.

    Attributes:
        hidden_size: Features H it reads from the first critic's last map.
        feature_size: Features F it gives.
        frames_per_step: Feature frames per frame of that map.
    """

    hidden_size: int
    feature_size: int
    frames_per_step: int

    @abstractmethod
    def forward(self, maps: FeatureMaps) -> Tensor:
        """Convert.

        Args:
            maps: As a trunk gives them; the first critic's last map is (B, H, L).

        Returns:
            (B, F, L * frames_per_step) float32.
        """


class LinearFeatureHead(FeatureHead):
    """One linear layer gives all feature frames that a frame of the trunk spans.

    Args:
        hidden_size: Features H of the trunk's last map.
        feature_size: Features F.
        frames_per_step: Feature frames per trunk frame: the trunk's hop over the features' hop.
    """

    def __init__(self, hidden_size: int, feature_size: int = 80, frames_per_step: int = 4) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.feature_size = feature_size
        self.frames_per_step = frames_per_step
        self.output = nn.Linear(hidden_size, frames_per_step * feature_size)

    def forward(self, maps: FeatureMaps) -> Tensor:
        """See `FeatureHead.forward`."""
        converted = self.output(maps[0][-1].transpose(1, 2))  # (B, L, r * F)
        frames = converted.unflatten(2, (self.frames_per_step, -1)).flatten(1, 2)  # (B, L * r, F)
        return frames.transpose(1, 2).float()


class WaveGANFeatureHead(LinearFeatureHead):
    """`LinearFeatureHead` in the size that fits a `WaveGANTrunk`.

    Args:
        clip_samples: Length T of the clips, as the trunk's.
        model_size: Width d, as the trunk's.
        feature_size: Features F.
        hop_samples: Samples per feature frame.

    Raises:
        OptionError: If a frame of the trunk is no whole number of feature frames.
    """

    def __init__(
        self, clip_samples: int, model_size: int = 64, feature_size: int = 80, hop_samples: int = 256
    ) -> None:
        trunk_hop = clip_samples // FIRST_FRAMES
        if trunk_hop % hop_samples:
            raise OptionError(
                f"WaveGANFeatureHead: hop_samples is {hop_samples}, but the trunk gives a frame per "
                f"{trunk_hop} samples of clips of {clip_samples}",
                f"set the features' hop_samples to {trunk_hop} or a whole fraction of it",
            )
        super().__init__(trunk_size(clip_samples, model_size), feature_size, trunk_hop // hop_samples)
        self.clip_samples = clip_samples
        self.model_size = model_size
        self.hop_samples = hop_samples
