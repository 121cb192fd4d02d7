"""Software, devices, memory, disk, caches and runs of this machine; looks only, and needs none of them."""

import os
import platform
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lightning_modules.cli import installation
from lightning_modules.errors import InstallationError
from lightning_modules.numerics.memory import largest_batch

GIB = 1 << 30
LEAST_MEMORY, LEAST_DISK, FULL_CACHE = 2 * GIB, 1 * GIB, 25 * GIB
VAE_WEIGHTS, VAE_CLIP_BYTES = 1_481_954, 5_600_000
"""Of experiments/vae.yaml: trained weights, and what a step keeps of each clip, in float32."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Check(NamedTuple):
    """One line of the examination.

    Attributes:
        name: What was looked at.
        level: Whether it is a problem.
        value: What was found.
        remedy: What to do, or nothing.
    """

    name: str
    level: Level
    value: str
    remedy: str = ""


def examine(cache_dir: str | None = None, runs_dir: str = "runs") -> list[Check]:
    """Look at everything; what cannot be looked at is a warning.

    Args:
        cache_dir: Folder of the caches; by default as the data module chooses it.
        runs_dir: Folder of all experiments.
    """
    root = Path(cache_dir or os.environ.get("MAESTRO_CACHE") or "~/.cache/maestro-lightning").expanduser()
    checks: dict[str, Callable[[], list[Check]]] = {
        "python": python,
        "torch": pair,
        "packages": packages,
        "operations": compiled,
        "devices": devices,
        "precision": precision,
        "batch size": batch_size,
        "memory": memory,
        "disk, runs": lambda: disk("disk, runs", Path(runs_dir).expanduser(), LEAST_DISK),
        "disk, cache": lambda: disk("disk, cache", root, LEAST_DISK),
        "cache": lambda: caches(root),
        "runs": lambda: runs(Path(runs_dir).expanduser()),
        "W&B": wandb,
    }
    return [finding for name, check in checks.items() for finding in _safely(name, check)]


def _safely(name: str, check: Callable[[], list[Check]]) -> list[Check]:
    try:
        return check()
    except Exception as error:  # a doctor that falls ill helps nobody
        return [Check(name, Level.WARNING, f"cannot be examined ({type(error).__name__}: {error})")]


def python() -> list[Check]:
    """The interpreter, and the system it runs on."""
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [Check("python", Level.OK, text)]


def packages() -> list[Check]:
    """Installed versions against the pins."""
    if wrong := installation.misfits():
        return [Check("packages", Level.ERROR, "; ".join(wrong), "run `pip install -e .` again")]
    return [Check("packages", Level.OK, f"all {len(installation.requirements())} as pinned")]


def pair() -> list[Check]:
    """Whether torch and torchaudio, which are compiled for each other, can be loaded."""
    try:
        installation.require_pair(is_sure=True)
    except InstallationError as error:
        return [Check("torch", Level.ERROR, error.problem, error.remedy)]
    versions = " with ".join(f"{name} {metadata.version(name)}" for name in installation.PAIR)
    return [Check("torch", Level.OK, versions)]


def compiled() -> list[Check]:
    """Whether each package can be imported, and one operation of each compiled one works."""
    if broken := dict(installation.failures()):
        text = "; ".join(f"{name} does not work ({reason})" for name, reason in broken.items())
        names = " ".join(name.split()[0] for name in broken)
        remedy = f"run `pip install --force-reinstall --no-deps {names}`, then `pip install -e .`"
        return [Check("operations", Level.ERROR, text, remedy)]
    return [Check("operations", Level.OK, "every package imports; every compiled one computes")]


def devices() -> list[Check]:
    """Devices that can train."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{cores} CPU cores, {torch.get_num_threads()} threads in use"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        gpus = ", ".join(f"{each.name} ({each.total_memory / GIB:.0f} GiB)" for each in names)
        return [Check("devices", Level.OK, f"{gpus}; {text}")]
    if shutil.which("nvidia-smi"):
        remedy = "update the NVIDIA driver, or install the torch build for the one you have"
        value = f"an NVIDIA driver, but torch {torch.__version__} finds no GPU; {text}"
        return [Check("devices", Level.WARNING, value, remedy)]
    if torch.backends.mps.is_available():
        return [Check("devices", Level.OK, f"Apple GPU; {text}")]
    return [Check("devices", Level.OK, f"no GPU; {text}")]


def precision() -> list[Check]:
    """The precision that `precision: ${auto_precision:}` chooses here."""
    import torch

    if not torch.cuda.is_available():
        return [Check("precision", Level.OK, "32-true; bf16-mixed runs on a CPU too, mostly slower")]
    major, minor = torch.cuda.get_device_capability()
    bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    tf32 = ", TF32 units" if major >= 8 else ""
    chosen = "bf16-mixed" if bfloat16 else "16-mixed"
    return [Check("precision", Level.OK, f"{chosen} (compute capability {major}.{minor}{tf32})")]


def batch_size() -> list[Check]:
    """How many clips of the default VAE a GPU's memory holds; nothing without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return []
    smallest = min(torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count()))
    most = largest_batch(smallest, VAE_WEIGHTS, VAE_CLIP_BYTES)
    value = f"experiments/vae.yaml: up to {most:,} clips of 1 s fit into each GPU; 8 are the default"
    return [Check("batch size", Level.OK, value)]


def memory() -> list[Check]:
    """Main memory that is free to use, within the limit of a container."""
    fields = dict(
        re.findall(
            r"^(\w+): +(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    )
    total, free = int(fields["MemTotal"]) << 10, int(fields["MemAvailable"]) << 10
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
        used = int(limit.with_name("memory.current").read_text(encoding="utf-8"))
        total, free = min(total, int(text)), min(free, int(text) - used)
    value = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        return [Check("memory", Level.WARNING, value, "close other programs, or lower --data.batch_size")]
    return [Check("memory", Level.OK, value)]


def disk(name: str, folder: Path, least: int) -> list[Check]:
    """Free space where `folder` is or will be, and whether it may be written."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    value = f"{free / GIB:.1f} GiB free in {folder}"
    option = "--runs_dir" if name.endswith("runs") else "--data.cache_dir"
    if not existing.is_dir():
        return [Check(name, Level.ERROR, f"{existing} is no folder", f"give another {option}")]
    if not os.access(existing, os.W_OK):
        return [Check(name, Level.ERROR, f"{existing} may not be written", f"give another {option}")]
    if free < least:
        return [Check(name, Level.ERROR, value, f"free some space, or give another {option}")]
    return [Check(name, Level.OK, value)]


def caches(root: Path) -> list[Check]:
    """Which releases are decoded already."""
    from datamodules.cache.pcm import read_manifest  # a broken installation may not have what it imports

    lines = []
    for manifest in sorted(root.glob("pcm/*/manifest.json")):
        found = re.fullmatch(r"(.+)-(\d+)hz-(\d)ch-\w+", manifest.parent.name)
        entries = read_manifest(manifest.parent)
        if found and entries:
            rate = int(found[2])
            hours = sum(entry.samples for entry in entries.values()) / rate / 3600
            lines.append(
                f"{found[1]} at {rate} Hz, {found[3]} channel(s): {len(entries)} recordings, {hours:.2f} h"
            )
    return [Check("cache", Level.OK, line) for line in lines] or [
        Check("cache", Level.OK, "empty; the first `lightning fit` fills it (the embedded release: seconds)")
    ]


def checkpoints(runs_dir: Path) -> Iterator[Path]:
    """All `last.ckpt` and `interrupted.ckpt`, the newest first."""
    found = [
        path for name in ("last", "interrupted") for path in runs_dir.glob(f"*/*/checkpoints/{name}.ckpt")
    ]
    yield from sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def runs(runs_dir: Path) -> list[Check]:
    """The newest run, and whether it was stopped before its end."""
    newest = next(checkpoints(runs_dir), None)
    if newest is None:
        return [Check("runs", Level.OK, f"none in {runs_dir} yet")]
    count = len({path.parent for path in checkpoints(runs_dir)})
    how = "was stopped" if newest.stem == "interrupted" else "has checkpoints"
    return [Check("runs", Level.OK, f"{count}; the newest, {newest.parents[1]}, {how}")]


def wandb() -> list[Check]:
    """Where figures will go; a key is looked for, not tried."""
    mode = os.environ.get("WANDB_MODE")
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    has_key = bool(os.environ.get("WANDB_API_KEY")) or (
        netrc.is_file() and "api.wandb.ai" in netrc.read_text(encoding="utf-8", errors="replace")
    )
    if mode:
        return [Check("W&B", Level.OK, f"{mode}, as WANDB_MODE says")]
    if has_key:
        return [Check("W&B", Level.OK, "online: a key is configured")]
    return [Check("W&B", Level.OK, "offline: no key; `wandb login` changes that, `wandb sync` sends later")]


def next_command(findings: list[Check], runs_dir: str = "runs") -> str:
    """Commands to run next."""
    for each in findings:
        if each.level is Level.ERROR:
            return f"{each.remedy}, then `lightning doctor` again"
    newest = next(checkpoints(Path(runs_dir).expanduser()), None)
    if newest is not None and newest.stem == "interrupted":
        return f"lightning fit --ckpt_path {shlex.quote(str(newest))}"
    best = newest.with_name("best.ckpt") if newest is not None else None
    if best is not None and best.is_file():
        return f"lightning test --ckpt_path {shlex.quote(str(best))}"
    gpus = next((each.value.count("GiB)") for each in findings if each.name == "devices"), 0)
    name = "" if gpus == 0 else "gpu" if gpus == 1 else "ddp"
    overlay = f" --config experiments/hardware/{name}.yaml" if name else ""
    return f"lightning fit --config experiments/vae.yaml{overlay}"
