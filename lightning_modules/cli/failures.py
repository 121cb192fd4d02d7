"""What a machine or a library refuses for a foreseeable reason, answered in two lines; the rest are bugs."""

import errno
import os
import re
from importlib.metadata import PackageNotFoundError, metadata

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
    return None


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
