"""Schedules of updates: how many of the critic (D and F on W) come before one of the generator G."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.errors import OptionError


class UpdateSchedule(nn.Module, ABC):
    """Decides how many critic updates come before the next generator update.

    A module, so that where it stands is saved in checkpoints. Time is counted in generator updates: one
    training batch is one generator update, preceded by up to `max_critic_steps` critic updates, each on its
    own part of the batch.

    Attributes:
        max_critic_steps: Most critic updates before a generator update; the parts of a training batch.
        needs_accuracy: Whether the accuracy given to `after_critic` and `after_generator` is looked at.
    """

    max_critic_steps: int
    needs_accuracy: bool

    @abstractmethod
    def critic_is_next(self) -> bool:
        """Whether the next update is the critic's."""

    @abstractmethod
    def after_critic(self, accuracy: float) -> None:
        """Take note of a critic update.

        Args:
            accuracy: How well the critic told real from generated clips, in [0, 1] (see
                `ranking_accuracy`); the same on all devices.
        """

    @abstractmethod
    def after_generator(self, accuracy: float) -> None:
        """Take note of a generator update; `accuracy` as in `after_critic`."""


class FixedUpdates(UpdateSchedule):
    """The same number of critic updates before each generator update.

    Args:
        critic_steps: Critic updates per generator update: 5 in the published WaveGAN, 1 in MelGAN and
            HiFi-GAN.
    """

    needs_accuracy = False

    def __init__(self, critic_steps: int = 5) -> None:
        super().__init__()
        if critic_steps < 1:
            raise OptionError(
                f"FixedUpdates: critic_steps is {critic_steps}, so the critic would never train",
                "give at least 1",
            )
        self.critic_steps = critic_steps
        self.max_critic_steps = critic_steps
        self._done = 0

    def critic_is_next(self) -> bool:
        """See `UpdateSchedule`."""
        return self._done < self.critic_steps

    def after_critic(self, accuracy: float) -> None:
        """See `UpdateSchedule`."""
        self._done += 1

    def after_generator(self, accuracy: float) -> None:
        """See `UpdateSchedule`."""
        self._done = 0


class AdaptiveUpdates(UpdateSchedule):
    """Train the critic until it rejects what is generated, then the generator until it is accepted.

    Accuracy is that of one batch. Limits keep both sides from starving: after `max_critic_steps` the
    generator has its turn whatever the critic achieved, and after `max_generator_steps` the critic.

    Args:
        reject_above: Accuracy at which the critic has learned enough.
        accept_below: Accuracy at which the generator has; 0.5 is chance.
        max_critic_steps: Most critic updates in a row.
        max_generator_steps: Most generator updates in a row.

    Raises:
        OptionError: If one side would never train, or never stop.
    """

    needs_accuracy = True
    state: Tensor

    def __init__(
        self,
        reject_above: float = 0.9,
        accept_below: float = 0.6,
        max_critic_steps: int = 5,
        max_generator_steps: int = 5,
    ) -> None:
        super().__init__()
        for name, value, side in (
            ("max_critic_steps", max_critic_steps, "critic"),
            ("max_generator_steps", max_generator_steps, "generator"),
        ):
            if value < 1:
                raise OptionError(
                    f"AdaptiveUpdates: {name} is {value}, so the {side} would never train", "give at least 1"
                )
        if not 0.0 <= accept_below < reject_above <= 1.0:
            raise OptionError(
                f"AdaptiveUpdates: accept_below is {accept_below} and reject_above {reject_above}, so one "
                "side would never be done",
                "give accuracies with 0 <= accept_below < reject_above <= 1; 0.5 is chance",
            )
        self.reject_above = reject_above
        self.accept_below = accept_below
        self.max_critic_steps = max_critic_steps
        self.max_generator_steps = max_generator_steps
        # whether it is the critic's turn, and the updates of this turn so far
        self.register_buffer("state", torch.tensor([1, 0]))

    def critic_is_next(self) -> bool:
        """See `UpdateSchedule`."""
        return bool(self.state[0])

    def after_critic(self, accuracy: float) -> None:
        """See `UpdateSchedule`."""
        self._count(accuracy >= self.reject_above, self.max_critic_steps)

    def after_generator(self, accuracy: float) -> None:
        """See `UpdateSchedule`."""
        self._count(accuracy <= self.accept_below, self.max_generator_steps)

    def _count(self, is_enough: bool, limit: int) -> None:
        turn, steps = self.state.tolist()
        over = is_enough or steps + 1 >= limit
        self.state.copy_(torch.tensor([1 - turn, 0] if over else [turn, steps + 1]))
