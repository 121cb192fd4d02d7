"""What is foreseen of machines and libraries, told from the errors that these really raise."""

import errno
import os
import socket
from email.message import Message
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything
from torch import distributed

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
