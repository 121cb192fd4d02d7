"""One WaveGAN update, 5 critic steps and 1 generator step under WGAN-GP, batch 16, 16,384 samples.

    pytest -m benchmark -s tests/benchmarks/test_wavegan_step.py

Three ways by turns, update by update, so that a busy machine slows all of them: the LightningModule under a
Trainer; the same update as a bare PyTorch loop with the same networks; and the same loop with torch's own
convolutions and activations and one pass per batch, as ports of WaveGAN are usually written. The first two
are compared pair by pair, and the median of the ratios counts. The arithmetic limit is the number of
multiplications that the update cannot do without, at the speed of a large matrix product.
MAESTRO_BENCHMARK_PAIRS sets the number of pairs at d = 32; at d = 64 there are half as many.

What the Trainer adds to an update does not depend on d: it is measured once more at d = 1, in seconds of CPU,
which a busy machine disturbs less.
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
from lightning_modules.networks.generator import WaveGANGenerator
from lightning_modules.networks.heads import DenseScoreHead
from lightning_modules.networks.trunk import WaveGANTrunk
from lightning_modules.schedules.updates import FixedUpdates
from lightning_modules.wavegan import WaveGAN

pytestmark = pytest.mark.benchmark

CLIPS, SAMPLES, CRITIC_STEPS = 16, 16_384, 5
PAIRS = int(os.environ.get("MAESTRO_BENCHMARK_PAIRS", "16"))
PORT_EVERY = 6
"""Pairs between two updates of the port, which takes three times as long."""
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


class Turns:
    """A loader of one batch for a Trainer: before handing it out it does the same update in other ways.

    The Trainer's own time is from handing out a batch to being asked for the next one.
    """

    def __init__(
        self,
        batch: Batch,
        bare: Callable[[Tensor], None],
        port: Callable[[Tensor], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.batch = batch
        self.bare, self.port, self.clock = bare, port, clock
        self.seconds: dict[str, list[float]] = {"lightning": [], "bare": [], "port": []}
        self.speeds: list[float] = []

    def __len__(self) -> int:
        """Known, so that the Trainer does not fetch a batch ahead, in the midst of an update."""
        return 1_000_000

    def __iter__(self) -> Iterator[Batch]:
        for pair in itertools.count():
            if self.port is not None and pair % PORT_EVERY == 0:
                self.speeds.append(matrix_product_gflops())
                self._time("port", self.port)
            self._time("bare", self.bare)
            start = self.clock()
            yield self.batch
            self.seconds["lightning"].append(self.clock() - start)

    def _time(self, name: str, update: Callable[[Tensor], None]) -> None:
        start = self.clock()
        update(self.batch.waveform)
        self.seconds[name].append(self.clock() - start)


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


def take_turns(model: WaveGAN, turns: Turns, pairs: int) -> None:
    """Train for `pairs` updates after one to warm up, which is forgotten."""
    quiet = {name: False for name in ("logger", "enable_checkpointing", "enable_progress_bar")}
    trainer = Trainer(
        max_steps=pairs + 2, accelerator="cpu", enable_model_summary=False, log_every_n_steps=10, **quiet
    )
    trainer.fit(model, turns)
    # nobody asks for a batch after the last one, so that update has no end
    turns.seconds["bare"] = turns.seconds["bare"][1 : pairs + 1]
    turns.seconds["lightning"] = turns.seconds["lightning"][1 : pairs + 1]


def models(model_size: int) -> tuple[WaveGAN, Callable[[Tensor], None]]:
    """The LightningModule, and the bare update of the same networks."""
    torch.manual_seed(0)
    generator, trunk = WaveGANGenerator(SAMPLES, model_size), WaveGANTrunk(SAMPLES, model_size)
    head = DenseScoreHead(trunk.hidden_sizes[0])

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = trunk, head

        def forward(self, clips: Tensor) -> Tensor:
            return self.head(self.trunk(clips))[0].squeeze(1)

    return lightning_module(generator, trunk, head), bare_loop(generator, Critic(), joint=True)


def noise() -> Batch:
    """A batch of one update."""
    zeros = torch.zeros(CRITIC_STEPS * CLIPS, dtype=torch.long)
    return Batch(0.1 * torch.randn(CRITIC_STEPS * CLIPS, 1, SAMPLES), zeros, zeros)


@pytest.mark.parametrize(("model_size", "pairs"), [(32, PAIRS), (64, PAIRS // 2)])
def test_update(benchmark: Any, model_size: int, pairs: int) -> None:
    model, bare = models(model_size)
    port = bare_loop(TorchGenerator(model_size), TorchCritic(model_size), joint=False)
    turns = Turns(noise(), bare, port)
    benchmark.pedantic(take_turns, (model, turns, pairs), rounds=1, iterations=1)
    report(model_size, turns)


def test_what_the_trainer_adds(benchmark: Any) -> None:
    model, bare = models(model_size=1)
    turns = Turns(noise(), bare, clock=time.process_time)
    benchmark.pedantic(take_turns, (model, turns, PAIRS), rounds=1, iterations=1)
    added = [a - b for a, b in zip(turns.seconds["lightning"], turns.seconds["bare"], strict=True)]
    low, middle, high = (1000 * value for value in statistics.quantiles(added, n=4))
    print(f"\nTrainer: {middle:.0f} ms of CPU per update (quartiles {low:.0f} and {high:.0f} ms)")


def report(model_size: int, turns: Turns) -> None:
    """Print what was measured."""
    seconds, speed = turns.seconds, max(turns.speeds)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    best = {name: min(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["lightning"], seconds["bare"], strict=True)]
    low, overhead, high = statistics.quantiles(ratios, n=4)
    limit = limit_gflop(model_size)
    fastest = limit / speed
    for name, values in seconds.items():
        print(f"\n{name:9} s:", *(f"{value:.2f}" for value in values), end="")
    print(
        f"\nd = {model_size}, {torch.get_num_threads()} threads, median (best) of {len(ratios)} updates: "
        f"Trainer {median['lightning']:.2f} s ({best['lightning']:.2f}), bare loop {median['bare']:.2f} s "
        f"({best['bare']:.2f}), torch's own layers {median['port']:.2f} s ({best['port']:.2f})\n"
        f"overhead of the Trainer {overhead - 1:+.1%} (median of the pairs; quartiles {low - 1:+.1%}, "
        f"{high - 1:+.1%}); torch's own layers take {median['port'] / median['lightning']:.2f}x\n"
        f"arithmetic limit {limit / 1000:.2f} TFLOP, {fastest:.2f} s at the {speed:.0f} GFLOP/s of a matrix "
        f"product: reached {fastest / best['lightning']:.0%}"
    )
