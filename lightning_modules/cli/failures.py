"""What a machine or a library refuses for a foreseeable reason, answered in two lines; the rest are bugs."""

import errno
import inspect
import os
import re
import traceback
from importlib.metadata import PackageNotFoundError, metadata
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

from lightning_modules.cli.mistakes import Answer

DISTRIBUTION = "maestro-lightning"
_GPU_FULL = re.compile(r"(CUDA|HIP|XPU|MPS backend) out of memory|CUDA error: out of memory|\w+_ALLOC_FAILED")
_GPU_SIZES = re.compile(r"Tried to allocate ([\d.]+ \w+)\. (GPU \d+) has a total capacity of ([\d.]+ \w+)")
_MEMORY_FULL = re.compile(r"DefaultCPUAllocator: (?:can't allocate|not enough) memory.*", re.IGNORECASE)
_WORKER_KILLED = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: |exited unexpectedly).*")
_PORT_TAKEN = re.compile(r"EADDRINUSE|address already in use", re.IGNORECASE)
_NOT_LOGGED = re.compile(
    r"Early stopping conditioned on metric `(.+?)` which is not available.*any of the following: (.*)",
    re.DOTALL,
)
_OF_SYSTEM = re.compile(r"\[Errno (\d+)\] [^:\n]*(?:: '([^'\n]*)')?")

_NO_SEED = re.compile(r"(-?\d+) is not in bounds, numpy accepts from (\d+ to \d+)")
_NO_HOME = "Could not determine home directory."
"""What Python raises as a RuntimeError for `~nobody/folder`."""
_LESS_ON_GPU = (
    "lower --data.batch_size (--trainer.accumulate_grad_batches 2 makes up for half of it), or add "
    "--trainer.precision bf16-mixed; `lightning doctor` says how many clips fit"
)
_LESS_OF_A_TOOL = "ask for less at once (--block_seconds, --seconds)"
_LESS_MEMORY = "lower --data.batch_size or --data.workers, or close other programs"
_ANOTHER_PORT = "leave MASTER_PORT out of the environment, which takes a free one, or give another number"
_CLIPPED_ELSEWHERE = "does not allow for gradient clipping because it performs unscaling"
"""What Lightning raises as a RuntimeError for a fused optimiser under 16-mixed."""
_OTHER_OPTIMISER = (
    "change or leave out one of these options of the model's optimisers and schedules, or take another class"
)
_NO_OPTIONS = ("params", "optimizer", "last_epoch", "args", "kwargs")
_LONGEST_REASON = 300
_OTHER_OPTIONS = "change or leave out what it names; `lightning doctor` shows what this machine has"
_OF_SYSTEM_ANSWERS = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "give a path that you may read and write, or change its permissions",
    ),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "free some space, or write elsewhere (--runs_dir or --output); what was finished before is whole",
    ),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "allow more with `ulimit -n 4096`, or lower --data.workers"
    ),
    errno.EIO: "look whether the disk is sound, or give another file",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "give a path without links that lead to themselves",
    errno.ENOMEM: _LESS_MEMORY,
    errno.EADDRINUSE: _ANOTHER_PORT,
}


def answer(error: BaseException, is_training: bool = True) -> Answer | None:
    """What is wrong and what to do, or None if nobody could foresee it.

    Args:
        error: What was raised; also in another process, with its text in this one's.
        is_training: Whether a verb of the Trainer raised it.
    """
    text = str(error)
    if isinstance(error, OSError):
        return _of_system(error)
    if _GPU_FULL.search(text) or type(error).__name__ == "OutOfMemoryError":
        return Answer(
            _gpu_full(text), _LESS_ON_GPU if is_training else f"{_LESS_OF_A_TOOL}, or add --device cpu"
        )
    if isinstance(error, MemoryError) or _MEMORY_FULL.search(text):
        reason = _MEMORY_FULL.search(text)
        remedy = _LESS_MEMORY if is_training else _LESS_OF_A_TOOL
        return Answer(f"This machine's memory is full{f' ({reason[0]})' if reason else ''}", remedy)
    if found := _NO_SEED.fullmatch(text):
        return Answer(f"--seed_everything is {found[1]}", f"give a whole number from {found[2]}")
    if isinstance(error, UnicodeDecodeError):
        return Answer(f"A file that should be text is none ({text:.200})", "save it as text in UTF-8")
    if isinstance(error, OverflowError) or text.endswith("without overflow"):  # Python's, and torch's
        return Answer(f"A number is too large to work with ({text})", "give a smaller one")
    if text == _NO_HOME:
        return Answer("A path begins with ~ and the name of no user of this machine", "write the whole path")
    if type(error).__name__ == "MisconfigurationException":  # Lightning's
        return Answer(f"Lightning cannot work with these options: {' '.join(text.split())}", _OTHER_OPTIONS)
    if found := _NOT_LOGGED.search(text):
        return Answer(f"EarlyStopping watches {found[1]}, which nothing logs", f"watch one of {found[2]}")
    if found := _WORKER_KILLED.search(text):
        return Answer(f"{found[0].strip()} Most likely memory is full", _LESS_MEMORY)
    if _PORT_TAKEN.search(text):
        port = re.search(r"port[:=] ?(\d+)", text)
        return Answer(
            f"Another program listens on port {port[1] if port else os.environ.get('MASTER_PORT', '')}, "
            "where the processes of this training would meet",
            _ANOTHER_PORT,
        )
    if _CLIPPED_ELSEWHERE in text:
        return Answer(text.partition(" because ")[0], "leave out fused, or --trainer.gradient_clip_val")
    return _of_optimiser(error)


def _of_optimiser(error: BaseException) -> Answer | None:
    """What an optimiser or a schedule cannot work with, when it is made or at any step.

    The error has to come out of `torch.optim` itself, or be a ValueError of a class that is being made: what
    the model raises while an optimiser waits for its loss is none of these.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    reason = (str(error).partition("\n")[0] or type(error).__name__)[:_LONGEST_REASON]
    raised = _in_optimiser(frames)
    if type(error).__module__ == "builtins" and raised is not None:
        return Answer(f"{raised} cannot be used here: {reason}", _OTHER_OPTIMISER)
    is_made = any(frame.f_code.co_name == "configure_optimizers" for frame in frames)
    if isinstance(error, ValueError) and is_made:
        return Answer(f"An optimiser or a schedule cannot be made: {reason}", _OTHER_OPTIMISER)
    return None


def _in_optimiser(frames: list[FrameType]) -> str | None:
    """The optimiser or schedule, with its options, whose code of torch raised the error."""
    import torch  # not above: errors before its import are answered too

    library = Path(torch.__file__).parent
    last = list(takewhile(lambda frame: Path(frame.f_code.co_filename).is_relative_to(library), frames[::-1]))
    for frame in last[::-1]:
        for each in (frame.f_locals.get("self"), *frame.f_locals.get("args", ())[:1]):
            if isinstance(each, torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler):
                return _with_options(each, frame)
    return None


def _with_options(made: Any, frame: FrameType) -> str:  # noqa: ANN401 (an optimiser or a schedule)
    """Class and options, without those that are as by default, of what is being made or used in a frame."""
    known = {**vars(made), **getattr(made, "defaults", {})}
    if frame.f_code.co_name == "__init__":
        known = frame.f_locals
    parameters = inspect.signature(type(made)).parameters
    options = [
        f"{name}={known[name]!r:.80}"
        for name, parameter in parameters.items()
        if name not in _NO_OPTIONS and name in known and repr(known[name]) != repr(parameter.default)
    ]
    return f"{type(made).__name__}({', '.join(options)})"


def _gpu_full(text: str) -> str:
    sizes = _GPU_SIZES.search(text)
    if sizes is None:
        return f"The GPU's memory is full ({text.partition(chr(10))[0]})"
    return f"The GPU's memory is full: {sizes[1]} more were needed, and {sizes[2]} has {sizes[3]} in all"


def _of_system(error: OSError) -> Answer | None:
    """An error of the operating system; one of a process that loads data has its number in the text alone."""
    found = _OF_SYSTEM.search(str(error))
    number = error.errno or (int(found[1]) if found else 0)
    remedy = _OF_SYSTEM_ANSWERS.get(number)
    if remedy is None:
        return None
    path = error.filename or (found[2] if found else None)
    return Answer(f"{os.strerror(number)}{f': {path!s:.200}' if path else ''}", remedy)


def request() -> str:
    """The line below the traceback of a bug: where to report it."""
    try:
        addresses = metadata(DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        addresses = []
    where = f" at {addresses[0].partition(', ')[2]}" if addresses else ""
    return (
        f"This was not foreseen. Unless code of your own is at fault, please report it{where}, with all that "
        "the same command prints with --debug"
    )
