"""A model of one weight and data of noise: what the tests of the CLI and the callbacks train."""

import os
import signal
import time
from typing import NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lightning_modules.base import GenerativeModule


class ToyBatch(NamedTuple):
    waveform: Tensor
    performance: Tensor
    start_sample: Tensor
    notes = None

    def part(self, clips: slice, start: int, stop: int, sample_rate: int) -> "ToyBatch":
        waveform = self.waveform[clips, :, start:stop].clone()
        return ToyBatch(waveform, self.performance[clips], self.start_sample[clips] + start)


class NoiseClips(Dataset):
    def __init__(self, num_clips: int, channels: int, clip_samples: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.waveform = torch.rand(num_clips, channels, clip_samples, generator=generator) - 0.5

    def __len__(self) -> int:
        return len(self.waveform)

    def __getitem__(self, index: int) -> ToyBatch:
        return ToyBatch(self.waveform[index], torch.tensor(index), torch.tensor(0))


class ToyDataModule(pl.LightningDataModule):
    def __init__(
        self,
        release: str = "mini",
        source: str | None = None,
        sample_rate: int = 8000,
        channels: int = 1,
        clip_samples: int = 1600,
        batch_size: int = 4,
        num_clips: int = 16,
        fail_with: str | None = None,
    ) -> None:
        super().__init__()
        self.release = release
        self.source = source
        self.sample_rate = sample_rate
        self.channels = channels
        self.clip_samples = clip_samples
        self.batch_size = batch_size
        self.num_clips = num_clips
        self.fail_with = fail_with
        if batch_size < 1:
            from datamodules.errors import OptionError

            raise OptionError(f"batch_size is {batch_size}", "give at least 1")

    @property
    def identity(self) -> dict[str, object]:
        return {"release": self.release, "performances": self.num_clips}

    def prepare_data(self) -> None:
        if self.fail_with:
            from datamodules.errors import DataError

            raise DataError(self.fail_with, "mend it")

    def train_dataloader(self) -> DataLoader:
        return self._loader(seed=0)

    def val_dataloader(self) -> DataLoader:
        return self._loader(seed=1)

    def test_dataloader(self) -> DataLoader:
        return self._loader(seed=2)

    def predict_dataloader(self) -> DataLoader:
        return self._loader(seed=2)

    def _loader(self, seed: int) -> None:
        clips = NoiseClips(self.num_clips, self.channels, self.clip_samples, seed)
        return DataLoader(clips, batch_size=self.batch_size)


class Scale(nn.Module):
    """A role with one weight."""

    def __init__(self, initial: float = 0.1) -> None:
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.tensor(initial))

    def forward(self, waveform: Tensor) -> Tensor:
        return self.weight * waveform


class Shift(nn.Module):
    """Another role of the same kind, with another argument."""

    def __init__(self, offset: float = 0.0, powers: list[int] | None = None) -> None:
        super().__init__()
        self.offset = offset
        self.powers = powers
        self.weight = nn.Parameter(torch.tensor(offset))

    def forward(self, waveform: Tensor) -> Tensor:
        return waveform + self.weight


class ToyModule(GenerativeModule):
    def __init__(
        self,
        sample_rate: int,
        clip_samples: int,
        channels: int = 1,
        network: nn.Module | None = None,
        optimizer: OptimizerCallable | None = None,
        fail_at_step: int = -1,
        kill_at_step: int = -1,
        val_log_mel: list[float] | None = None,
    ) -> None:
        super().__init__(sample_rate, clip_samples, channels)
        self.network = network if network is not None else Scale()
        self.optimizer = optimizer
        self.fail_at_step = fail_at_step
        self.kill_at_step = kill_at_step
        self.val_log_mel = val_log_mel

    def sample(self, num_clips: int, num_samples: int | None = None, temperature: float = 1.0) -> Tensor:
        noise = torch.randn(num_clips, self.channels, num_samples or self.clip_samples, device=self.device)
        return self.network(temperature * noise).clamp(-1, 1)

    def reconstruct(self, waveform: Tensor) -> Tensor:
        return self.network(waveform)

    def training_step(self, batch: ToyBatch, batch_idx: int) -> Tensor:
        if self.global_step == self.fail_at_step:
            raise RuntimeError("the toy was told to fail")
        if self.global_step == self.kill_at_step:
            for logger in self.trainer.loggers:
                _ = logger.experiment  # waits until W&B has been told all
            time.sleep(2.5)  # and its own process has written it down
            os.kill(os.getpid(), signal.SIGKILL)
        loss = (self.network(batch.waveform) - batch.waveform).square().mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: ToyBatch, batch_idx: int) -> None:
        error = (self.network(batch.waveform) - batch.waveform).square().mean()
        if self.val_log_mel is not None:
            error = torch.tensor(self.val_log_mel[min(self.current_epoch, len(self.val_log_mel) - 1)])
        self.log("val/log_mel_distance", error, prog_bar=True)

    def test_step(self, batch: ToyBatch, batch_idx: int) -> None:
        self.log("test/log_mel_distance", (self.network(batch.waveform) - batch.waveform).square().mean())

    def predict_step(self, batch: ToyBatch, batch_idx: int) -> Tensor:
        return self.reconstruct(batch.waveform)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return (
            self.optimizer(self.parameters())
            if self.optimizer
            else torch.optim.SGD(self.parameters(), lr=0.5)
        )


class FixedRateModule(ToyModule):
    """A model that exists for one sample rate only."""

    def __init__(self, clip_samples: int = 1600) -> None:
        super().__init__(44100, clip_samples)


class OtherModule(ToyModule):
    """The same weights under another name."""


class WideModule(ToyModule):
    """A model as wide as one likes."""

    def __init__(self, sample_rate: int, clip_samples: int, channels: int = 1, width: int = 1) -> None:
        super().__init__(sample_rate, clip_samples, channels)
        self.width = width
        self.wide = nn.Linear(1, width)
