"""One WaveGAN update, 5 critic steps and 1 generator step under WGAN-GP, batch 16, 16,384 samples.

    pytest -m benchmark -s tests/benchmarks/test_wavegan_step.py

Three ways in turns within one run, so that a busy machine slows all of them: the LightningModule under a
Trainer; the same update as a bare PyTorch loop with the same networks; and the same loop with torch's own
convolutions and activations and one pass per batch, as ports of WaveGAN are usually written. The
arithmetic limit is the number of multiplications that the update cannot do without, at the speed of a large
matrix product.
"""

import functools
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from datamodules.batch import Batch
from lightning_modules.losses.adversarial import WassersteinLoss
from lightning_modules.losses.gradient_penalty import GradientPenalty
from lightning_modules.networks.discriminator import WaveGANTrunk
from lightning_modules.networks.generator import WaveGANGenerator
from lightning_modules.networks.heads import DenseScoreHead
from lightning_modules.schedules.updates import FixedUpdates
from lightning_modules.wavegan import WaveGAN

pytestmark = pytest.mark.benchmark

CLIPS, SAMPLES, CRITIC_STEPS = 16, 16_384, 5
TURNS = int(os.environ.get("MAESTRO_BENCHMARK_TURNS", "3"))
adam = functools.partial(torch.optim.Adam, lr=1e-4, betas=(0.5, 0.9))


def multiplications(model_size: int) -> int:
    """Of one pass of one batch through D, and nearly the same through G: u.

    A critic step is 11 u: G; D on real, generated and interpolated clips; for the first two the gradients of
    weights and of activations; for the last the slope, its derivative forwards, and that of the weights. The
    generator step is 5 u: G, D, the gradient through D, and two kinds of gradient in G.
    """
    sizes = [1, *(model_size * 2**power for power in range(5))]
    frames = [SAMPLES // 4 ** (power + 1) for power in range(5)]
    return CLIPS * sum(25 * a * b * n for a, b, n in zip(sizes, sizes[1:], frames, strict=False))


def limit_gflop(model_size: int) -> float:
    """The whole update, in 10^9 floating-point operations."""
    return 2 * (CRITIC_STEPS * 11 + 5) * multiplications(model_size) / 1e9


def matrix_product_gflops() -> float:
    """Best speed of a product of two 2048 x 2048 matrices, in 10^9 operations per second."""
    matrix = torch.randn(2048, 2048)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times) / 1e9


class TorchGenerator(nn.Module):
    """The published generator of torch's own layers, channels first."""

    def __init__(self, d: int) -> None:
        super().__init__()
        sizes = [16 * d, 8 * d, 4 * d, 2 * d, d, 1]
        self.dense = nn.Linear(100, 16 * sizes[0])
        self.layers = nn.ModuleList(
            nn.ConvTranspose1d(a, b, 25, 4, padding=11, output_padding=1)
            for a, b in itertools.pairwise(sizes)
        )

    def forward(self, latent: Tensor) -> Tensor:
        hidden = self.dense(latent).view(len(latent), -1, 16)
        for layer in self.layers:
            hidden = layer(torch.relu(hidden))
        return torch.tanh(hidden)


class TorchCritic(nn.Module):
    """The published critic of torch's own layers, channels first, one phase shift per pass."""

    def __init__(self, d: int) -> None:
        super().__init__()
        sizes = [1, d, 2 * d, 4 * d, 8 * d, 16 * d]
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 25, 4, padding=11) for a, b in itertools.pairwise(sizes))
        self.dense = nn.Linear(256 * d, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            hidden = nn.functional.leaky_relu(layer(hidden), 0.2)
            shift = int(torch.randint(-2, 3, ()))
            if number < 4 and shift:
                left, right = max(shift, 0), max(-shift, 0)
                length = hidden.shape[2]
                hidden = nn.functional.pad(hidden, (left, right), mode="reflect")[..., right : right + length]
        return self.dense(hidden.flatten(1)).squeeze(1)


def bare_loop(generator: nn.Module, critic: nn.Module, joint: bool) -> Callable[[Tensor], None]:
    """The update without Lightning; `joint`: real and generated clips in one pass, D frozen for G's step."""
    generator_optimizer, critic_optimizer = adam(generator.parameters()), adam(critic.parameters())
    latent = functools.partial(torch.rand, CLIPS, 100)

    def train_critic(real: Tensor) -> None:
        with torch.no_grad():
            generated = generator(2 * latent() - 1)
        if joint:
            scores = critic(torch.cat([real, generated])).chunk(2)
        else:
            scores = critic(real), critic(generated)
        mixed = torch.lerp(real, generated, torch.rand(CLIPS, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        critic_optimizer.zero_grad()
        (scores[1].mean() - scores[0].mean() + 10 * penalty).backward()
        critic_optimizer.step()

    def update(batch: Tensor) -> None:
        for real in batch.chunk(CRITIC_STEPS):
            train_critic(real)
        critic.requires_grad_(not joint)
        generator_optimizer.zero_grad()
        (-critic(generator(2 * latent() - 1)).mean()).backward()
        generator_optimizer.step()
        critic.requires_grad_(True)  # the Trainer's turn comes with the same networks

    return update


class Timer:
    """A loader of one batch that hands it out as often as asked, one update of the Trainer at a time."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.seconds: list[float] = []

    def __iter__(self) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            yield self.batch
            self.seconds.append(time.perf_counter() - start)


def lightning_module(generator: nn.Module, trunk: nn.Module, head: nn.Module) -> WaveGAN:
    """The published WaveGAN; neither F nor a moving average, which the bare loop has not."""
    return WaveGAN(
        16000,
        SAMPLES,
        generator,
        trunk,
        head,
        WassersteinLoss(),
        FixedUpdates(CRITIC_STEPS),
        adam,
        adam,
        gradient_penalty=GradientPenalty(),
        ema_decay=None,
    )


def time_trainer(model: WaveGAN, waveform: Tensor, updates: int) -> float:
    """Seconds per update, from one batch's request to the next's, the first update left out."""
    zeros = torch.zeros(len(waveform), dtype=torch.long)
    timer = Timer(Batch(waveform, zeros, zeros))
    quiet = {name: False for name in ("logger", "enable_checkpointing", "enable_progress_bar")}
    trainer = Trainer(
        max_steps=updates + 1, accelerator="cpu", enable_model_summary=False, log_every_n_steps=10, **quiet
    )
    trainer.fit(model, timer)
    return statistics.median(timer.seconds[1:] or timer.seconds)


def time_loop(update: Callable[[Tensor], None], waveform: Tensor, updates: int) -> float:
    """Seconds per update, the first left out."""
    seconds = []
    for _ in range(updates + 1):
        start = time.perf_counter()
        update(waveform)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


@pytest.mark.parametrize(("model_size", "updates"), [(32, 2), (64, 1)])
def test_update(benchmark: Any, model_size: int, updates: int) -> None:
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(CRITIC_STEPS * CLIPS, 1, SAMPLES)
    generator, trunk = WaveGANGenerator(SAMPLES, model_size), WaveGANTrunk(SAMPLES, model_size)
    head = DenseScoreHead(trunk.hidden_sizes[0])
    model = lightning_module(generator, trunk, head)

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = trunk, head

        def forward(self, clips: Tensor) -> Tensor:
            return self.head(self.trunk(clips))[0].squeeze(1)

    bare = bare_loop(generator, Critic(), joint=True)
    port = bare_loop(TorchGenerator(model_size), TorchCritic(model_size), joint=False)
    seconds: dict[str, list[float]] = {"lightning": [], "bare": [], "port": []}
    speeds = []

    def turn() -> None:
        speeds.append(matrix_product_gflops())
        seconds["lightning"].append(time_trainer(model, waveform, updates))
        seconds["bare"].append(time_loop(bare, waveform, updates))
        seconds["port"].append(time_loop(port, waveform, updates))

    benchmark.pedantic(turn, rounds=TURNS, iterations=1)
    best = {name: min(values) for name, values in seconds.items()}
    ratio = statistics.median(a / b for a, b in zip(seconds["lightning"], seconds["bare"], strict=True))
    gain = statistics.median(a / b for a, b in zip(seconds["port"], seconds["lightning"], strict=True))
    limit, speed = limit_gflop(model_size), max(speeds)
    fastest = limit / speed
    benchmark.extra_info.update(seconds)
    for name, values in seconds.items():
        print(f"\n{name:9} s in each turn:", *(f"{value:.2f}" for value in values), end="")
    print(
        f"\nd = {model_size}, {torch.get_num_threads()} threads: Trainer {best['lightning']:.2f} s, bare "
        f"loop {best['bare']:.2f} s (overhead {ratio - 1:+.1%}), torch's own layers {best['port']:.2f} s "
        f"({gain:.2f}x)\narithmetic limit {limit / 1000:.2f} TFLOP, {fastest:.2f} s at the "
        f"{speed:.0f} GFLOP/s of a matrix product: reached {fastest / best['lightning']:.0%}"
    )
