"""What is foreseen of machines and libraries, told from the errors that these really raise."""

import errno
import os
import socket
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.plugins import MixedPrecision
from torch import distributed
from torch.optim import SGD, Adam, AdamW, SparseAdam
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from lightning_modules.cli import failures
from lightning_modules.cli.failures import answer, request


@pytest.mark.parametrize("use_libuv", [True, False])
def test_a_port_in_use_is_named(use_libuv: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(distributed.DistNetworkError) as refused:
            distributed.TCPStore("127.0.0.1", port, is_master=True, use_libuv=use_libuv)
    told = answer(refused.value)
    assert told is not None and f"listens on port {port}, " in told.problem and "MASTER_PORT" in told.remedy


def test_memory_that_the_machine_has_not() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**62, dtype=torch.uint8)
    told = answer(refused.value)
    assert told is not None and f"you tried to allocate {2**62} bytes" in told.problem
    assert "memory" in told.problem and "--data.batch_size" in told.remedy
    assert answer(MemoryError()) == ("This machine's memory is full", told.remedy)


@pytest.mark.parametrize(
    ("number", "problem", "remedy"),
    [
        (errno.EACCES, "Permission denied: /far/away", "that you may read and write"),
        (errno.EROFS, "Read-only file system: /far/away", "that you may read and write"),
        (errno.ENOSPC, "No space left on device: /far/away", "free some space"),
        (errno.EMFILE, "Too many open files: /far/away", "ulimit -n"),
        (errno.EIO, "Input/output error: /far/away", "disk is sound"),
        (errno.ENAMETOOLONG, "File name too long: /far/away", "shorter"),
    ],
)
def test_what_the_system_refuses(number: int, problem: str, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "/far/away")
    of_worker = OSError(f"Caught {type(error).__name__} in DataLoader worker process 0.\n{error}")
    for each in (error, of_worker):
        told = answer(each)
        assert told is not None and told.problem == problem and remedy in told.remedy
    nameless = answer(OSError(number, os.strerror(number)))
    assert nameless is not None and nameless.problem == os.strerror(number)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("CUDA error: out of memory\nCompile with", "The GPU's memory is full (CUDA error: out of memory)"),
        (
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "The GPU's memory is full (CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling "
            "`cublasCreate(handle)`)",
        ),
        (
            "DataLoader worker (pid 12) is killed by signal: Killed. ",
            "DataLoader worker (pid 12) is killed by signal: Killed. Most likely memory is full",
        ),
    ],
)
def test_memory_in_other_words(text: str, problem: str) -> None:
    told = answer(RuntimeError(text))
    assert told is not None and told.problem == problem


def test_a_verb_that_does_not_train_has_other_options_to_lower() -> None:
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
    told = answer(full, is_training=False)
    assert told is not None and "--block_seconds" in told.remedy and "--data" not in told.remedy


def test_memory_of_a_verb_that_does_not_train() -> None:
    told = answer(MemoryError(), is_training=False)
    assert told is not None and "--block_seconds" in told.remedy and "--data" not in told.remedy


def test_a_seed_that_is_none() -> None:
    with pytest.raises(ValueError, match="not in bounds") as caught:
        seed_everything(-1)
    told = answer(caught.value)
    assert told is not None and told.problem == "--seed_everything is -1"
    assert told.remedy == "give a whole number from 0 to 4294967295"


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(UnicodeDecodeError) as refused:
        b"\xff".decode()
    told = answer(refused.value)
    assert told is not None and "should be text is none ('utf-8' codec can't decode" in told.problem


def test_a_number_of_hundreds_of_digits() -> None:
    with pytest.raises(OverflowError) as refused:
        float(10**400)
    told = answer(refused.value)
    assert told is not None and "A number is too large to work with (int too large" in told.problem
    with pytest.raises(RuntimeError) as refused_by_torch:
        torch.zeros(1).clamp_(min=1e300)
    assert answer(refused_by_torch.value) is not None


def test_the_home_of_nobody() -> None:
    with pytest.raises(RuntimeError) as caught:
        Path("~no such user/folder").expanduser()
    told = answer(caught.value)
    assert told is not None and "no user of this machine" in told.problem and "whole path" in told.remedy


class OneStep:
    """What a model and Lightning do with an optimiser and its schedule, to the end of the first step."""

    def __init__(self, loss: Callable[[], object] = lambda: torch.zeros(())) -> None:
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.loss = loss

    def configure_optimizers(self, optimizer: type, options: Mapping[str, object]) -> torch.optim.Optimizer:
        return optimizer([self.weight], **options)

    def run(self, optimizer: type, schedule: type | None = None, **options: object) -> None:
        made = self.configure_optimizers(optimizer, {} if schedule else options)
        scheduler = schedule(made, **options) if schedule else None
        self.weight.grad = torch.ones(2)
        made.step(self.loss)
        for _ in range(2 if scheduler else 0):
            scheduler.step()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"optimizer": AdamW, "lr": 0.1, "differentiable": True},
            "AdamW(lr=0.1, differentiable=True) cannot be used here: a leaf Variable that requires grad",
        ),
        (
            {"optimizer": Adam, "foreach": True, "fused": True},
            "Adam(foreach=True, fused=True) cannot be",
        ),
        ({"optimizer": Adam, "capturable": True}, "here: If capturable=True, params and state_steps must be"),
        ({"optimizer": Adam, "betas": (0.9,)}, "Adam(betas=(0.9,)) cannot be used here: tuple index"),
        ({"optimizer": SGD, "lr": -1.0}, "SGD(lr=-1.0) cannot be used here: Invalid learning rate: -1.0"),
        ({"optimizer": SGD, "schedule": StepLR, "step_size": 0}, "StepLR(step_size=0) cannot be used here"),
        ({"optimizer": SGD, "schedule": OneCycleLR, "max_lr": 1.0}, "You must define either total_steps OR"),
        (
            {"optimizer": SGD, "schedule": OneCycleLR, "max_lr": 1.0, "total_steps": 1},
            "OneCycleLR(total_steps=1) cannot be used here: Tried to step 2 times. The specified number",
        ),
        ({"optimizer": SparseAdam}, "SparseAdam() cannot be used here: SparseAdam does not support dense"),
    ],
)
def test_what_an_optimiser_or_a_schedule_of_torch_refuses(options: Any, problem: str) -> None:
    with pytest.raises(Exception) as refused:  # torch's are of six classes
        OneStep().run(**options)
    told = answer(refused.value)
    assert told is not None and problem in told.problem and "leave out one of these options" in told.remedy


def test_what_another_optimiser_refuses_when_it_is_made() -> None:
    class Picky(SGD):
        def __init__(self, parameters: object) -> None:
            raise ValueError("not today")

    with pytest.raises(ValueError, match="not today") as refused:
        OneStep().run(Picky)
    told = answer(refused.value)
    assert told is not None and told.problem == "An optimiser or a schedule cannot be made: not today"


def test_a_bug_of_the_model_is_not_the_optimisers() -> None:
    """It is raised while the optimiser waits for the loss, in code of the model or of torch."""
    for loss in (lambda: torch.zeros(2) + torch.zeros(3), lambda: torch.nn.Linear(2, 2)(torch.zeros(3))):
        with pytest.raises(RuntimeError) as raised:
            OneStep(loss).run(Adam)
        assert answer(raised.value) is None


def test_a_fused_optimiser_that_cannot_be_clipped() -> None:
    optimizer = Adam([torch.nn.Parameter(torch.ones(2))], fused=True)
    with pytest.raises(RuntimeError) as refused:
        MixedPrecision("bf16-mixed", "cpu").clip_gradients(optimizer, 1.0)
    told = answer(refused.value)
    assert told is not None and told.remedy == "leave out fused, or --trainer.gradient_clip_val"
    assert told.problem == "The current optimizer, Adam, does not allow for gradient clipping"


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("shapes differ"), FileNotFoundError(2, "absent", "x"), OSError()]
)
def test_a_bug_has_no_answer(error: Exception) -> None:
    assert answer(error) is None


def test_the_request_for_a_report_names_the_address_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = Message()
    project["Project-URL"] = "Issues, https://example.org/issues"
    monkeypatch.setattr(failures, "metadata", lambda name: {failures.DISTRIBUTION: project}[name])
    assert "please report it at https://example.org/issues, with" in request()
    monkeypatch.setattr(failures, "metadata", lambda name: Message())
    assert "please report it, with" in request()
