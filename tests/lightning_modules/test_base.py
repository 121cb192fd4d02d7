"""The contract of generative modules."""

import pytest
import torch
from toy_experiment import ToyModule

from lightning_modules.base import GenerativeModule
from lightning_modules.checkpoints.description import describe_module
from lightning_modules.checkpoints.file import KEY


class Sampler(GenerativeModule):
    def sample(
        self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        return torch.zeros(num_clips, self.channels, num_samples or self.clip_samples)


def test_a_module_must_be_able_to_sample() -> None:
    with pytest.raises(TypeError, match=r"abstract method '?sample"):
        GenerativeModule(8000, 1600)  # type: ignore[abstract]


def test_a_module_without_an_encoder_says_so() -> None:
    module = Sampler(8000, 1600, 2)
    assert not module.can_reconstruct
    assert module.sample(3).shape == (3, 2, 1600)
    with pytest.raises(
        NotImplementedError, match=r"Sampler does not encode audio: it has no reconstruct\(\)"
    ):
        module.reconstruct(torch.zeros(1, 2, 1600))


def test_saving_adds_the_description_and_nothing_pickled() -> None:
    module = ToyModule(8000, 1600)
    checkpoint: dict[str, object] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint == {KEY: describe_module(module, GenerativeModule)}
