"""Shipped experiments on fake CUDA tensors, on a machine without a GPU: host and device never meet in a step.

Fake tensors have shapes, types and devices, and no values. An operation on tensors of two devices raises, and
so does one that needs a value on the host (`.item()`, `.tolist()`), for which a GPU would be waited for. The
same once more on a device that has no float64, as Apple's GPUs.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datamodules.batch import BEGIN, Batch, NoteBatch, TokenBatch
from lightning_modules.base import can_reconstruct, can_resynthesise, can_sample, has_latents, resynthesise
from lightning_modules.cli.trainer import TrainerCLI
from lightning_modules.metrics.functional import tonality
from lightning_modules.metrics.reconstruction import (
    LogMelDistance,
    MultiScaleSpectralDistance,
    ScaleInvariantSDR,
)
from lightning_modules.networks import phase_shuffle
from lightning_modules.numerics import precision

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RATE = 16_000
ADVERSARIAL = "vae ablations/adversarial_decoder"
WITHOUT_SAMPLES = ("wavegan_conditional", "wavegan_notes", "transcriber", "note_prior")


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Builds the model of an experiment, ready for steps without a Trainer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TrainerCLI, "_run_subcommand", lambda self, verb: None)

    def make(name: str, *overlays: str) -> Any:
        configs = [f"--config={EXPERIMENTS / each}.yaml" for each in (name, *overlays)]
        options = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.logger=false"]
        module = TrainerCLI.start(["fit", *configs, *options]).model
        module.trainer = None
        module._device = torch.device("cuda", 0)  # as `module.to` would
        # the one draw that is made on the host
        monkeypatch.setattr(phase_shuffle, "draw_shifts", lambda radius, count: [radius] * count)
        for log in ("log", "log_dict", "log_training", "log_evaluation"):
            monkeypatch.setattr(module, log, lambda *figures, **options: None)
        if not module.automatic_optimization:  # updates by hand; fake tensors have no gradients
            monkeypatch.setattr(module, "optimizers", lambda: [NoOptimizer(), NoOptimizer()])
            for method in ("toggle_optimizer", "untoggle_optimizer", "manual_backward"):
                monkeypatch.setattr(module, method, lambda *arguments: None)
            zeros = lambda value, of, **options: (torch.zeros_like(of),)  # noqa: E731
            monkeypatch.setattr(torch.autograd, "grad", zeros)
            for function in ("uncount", "step_schedulers"):
                monkeypatch.setattr(sys.modules[type(module).__module__], function, lambda *arguments: None)
        return module

    return make


def move_to_fake_gpu(module: torch.nn.Module, mode: FakeTensorMode) -> None:
    for each in module.modules():
        for name, parameter in each._parameters.items():
            if parameter is not None:
                fake = mode.from_tensor(parameter).detach().to("cuda")
                each._parameters[name] = torch.nn.Parameter(fake, parameter.requires_grad)
        for name, buffer in each._buffers.items():
            if buffer is not None:
                each._buffers[name] = mode.from_tensor(buffer).to("cuda")


class NoOptimizer:
    def zero_grad(self) -> None:
        pass

    step = zero_grad


def notes() -> NoteBatch:
    """Five notes in each of two clips; inside a fake mode."""
    pairs = {name: torch.zeros(2, 5, device="cuda") for name in NoteBatch._fields}
    whole = {name: torch.zeros(2, 5, dtype=torch.long, device="cuda") for name in ("pitch", "onset_sample")}
    clips = {name: torch.zeros(2, device="cuda") for name in ("mean_velocity", "gain")}
    own = {
        "mask": torch.ones(2, 5, dtype=torch.bool, device="cuda"),
        "pedals_at_onset": torch.zeros(2, 5, 3, device="cuda"),
        "pedals": torch.zeros(2, 3, 103, device="cuda"),
        "start_sample": torch.zeros(2, dtype=torch.long, device="cuda"),
    }
    return NoteBatch(**(pairs | whole | clips | own))


def batch_for(module: Any) -> Batch | TokenBatch:
    """Two clips, or two windows of tokens; inside a fake mode."""
    where = torch.zeros(2, dtype=torch.long, device="cuda")
    if hasattr(module, "window_tokens"):
        tokens = torch.full((2, 65), BEGIN, device="cuda")
        return TokenBatch(tokens, where, where, tokens == BEGIN)
    return Batch(torch.zeros(2, module.channels, module.clip_samples, device="cuda"), where, where, notes())


class WithoutFloat64(TorchDispatchMode):
    """Refuses float64 on the fake GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.device.type == "cuda" and each.dtype == torch.float64:
                raise TypeError(f"{func} makes float64, which the device does not have")
        return made


NAMES = [*sorted(path.stem for path in EXPERIMENTS.glob("*.yaml")), ADVERSARIAL]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == ADVERSARIAL else ()) for name in NAMES]
)
def test_a_step_samples_and_scores_stay_on_the_device(name, build, monkeypatch):
    module = build(*name.split())
    assert can_sample(module) == (name not in WITHOUT_SAMPLES)
    metrics = torch.nn.ModuleList([LogMelDistance(RATE), MultiScaleSpectralDistance(), ScaleInvariantSDR()])
    with FakeTensorMode() as mode:
        with WithoutFloat64(), torch.no_grad():
            move_to_fake_gpu(module, mode)
            move_to_fake_gpu(metrics, mode)
            batch = batch_for(module)
            made = step_and_use(module, batch)
        scores(metrics, made)
        monkeypatch.setattr(precision, "WITHOUT_FLOAT64", ("cuda",))
        with WithoutFloat64():
            scores(metrics, made)


def step_and_use(module: Any, batch: Batch | TokenBatch) -> list[torch.Tensor]:
    """A training step, and what the model makes without it."""
    with torch.enable_grad():
        loss = module.training_step(batch, 0)
    assert loss is None or loss.device.type == "cuda"
    module.eval()
    made: list[torch.Tensor] = []
    if isinstance(batch, TokenBatch):
        return made
    if can_resynthesise(module):
        made.append(resynthesise(module, batch))
        assert made[0].shape == batch.waveform.shape
    if can_sample(module):
        made.append(module.sample(2))
    if has_latents(module) and can_reconstruct(module):
        made.append(module.decode_latent(module.encode_latent(batch.waveform), module.clip_samples))
    assert all(each.device.type == "cuda" for each in made)
    return made


def scores(metrics: torch.nn.ModuleList, made: list[torch.Tensor]) -> None:
    """Of waveforms on the fake GPU, which is where they stay."""
    for each in made:
        assert all(metric.values(each, each).device.type == "cuda" for metric in metrics)
        assert tonality(each, RATE).device.type == "cuda"


def test_float64_on_a_device_without_it_is_caught(build, monkeypatch):
    module = build("vae")
    decode = module.decode
    monkeypatch.setattr(module, "decode", lambda latent, length: decode(latent.double().float(), length))
    with FakeTensorMode() as mode:
        move_to_fake_gpu(module, mode)
        with WithoutFloat64(), pytest.raises(TypeError, match="float64, which the device does not have"):
            module.training_step(batch_for(module), 0)


def test_a_tensor_left_on_the_host_is_caught(build, monkeypatch):
    module = build("vae")
    decode = module.decode
    with FakeTensorMode() as mode:
        move_to_fake_gpu(module, mode)
        monkeypatch.setattr(module, "decode", lambda latent, length: decode(latent + torch.ones(1), length))
        with pytest.raises(RuntimeError, match="same device"):
            module.training_step(batch_for(module), 0)


def test_waiting_for_the_device_is_caught(build, monkeypatch):
    module = build("vae")
    decode = module.decode
    with FakeTensorMode() as mode:
        move_to_fake_gpu(module, mode)
        monkeypatch.setattr(
            module, "decode", lambda latent, length: decode(latent * latent.max().item(), length)
        )
        with pytest.raises(DataDependentOutputException):
            module.training_step(batch_for(module), 0)
