"""One trial of a sweep: its command line, its process, the figures it writes."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lightning_modules.errors import SweepError
from lightning_modules.runs.config import read_config
from lightning_modules.runs.metrics import METRICS_PATTERN, read_rows

POLL_SECONDS = 0.5
KILL_DELAY_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


class Exit(NamedTuple):
    """How a trial's process ended.

    Attributes:
        code: Its exit status; negative for a signal.
        was_stopped: Whether it was ended from here, for early termination.
    """

    code: int
    was_stopped: bool


def trial_command(command: Sequence[Any], parameters: dict[str, Any], options: Sequence[str]) -> list[str]:
    """The command line of one trial, built by W&B's own code as `wandb agent` does.

    Args:
        command: The sweep file's `command`, with its `${args}` and other macros.
        parameters: Value of each option.
        options: More options, at the end.
    """
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    macros = create_sweep_command_args({"args": {name: {"value": v} for name, v in parameters.items()}})
    macros |= {"env": ["/usr/bin/env"], "interpreter": [sys.executable]}
    words: list[str] = []
    for chunk in map(str, create_sweep_command([*command])):
        is_macro = chunk.startswith("${") and chunk.endswith("}")
        words += macros.get(chunk[2:-1], []) if is_macro else [chunk]
    if words[0] == "lightning":  # this very installation, also where it is not on the PATH
        words[:1] = [sys.executable, "-m", "lightning_modules"]
    return [*words, *options]


def run_to_end(command: list[str], log: Path, should_stop: Callable[[], bool]) -> Exit:
    """Run a command, its output going to `log`, until it ends or `should_stop` says so.

    On Linux the process dies with this one: otherwise, after a kill, it would go on beside its repetition.

    Raises:
        SweepError: If there is no such program.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)  # not what a link in its place leads to
    try:
        with log.open("xb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_dies_with_parent(),
            )
    except (FileNotFoundError, PermissionError) as error:
        raise SweepError(
            f"The sweep's program {command[0]!r} cannot be started ({error.strerror})",
            "correct the first word of `command` in the sweep file, or put the program on the PATH",
        ) from error
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            if process.returncode is None and should_stop():
                return Exit(_end(process), was_stopped=True)
    except BaseException:
        _end(process)
        raise
    return Exit(process.returncode, was_stopped=False)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(KILL_DELAY_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _dies_with_parent() -> Callable[[], None] | None:
    """The call that ties the new process to the life of this one; None where the system has none."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded here: little is allowed between fork and exec
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) and None


def metric_history(folder: Path, name: str) -> list[float]:
    """All values of one logged figure of the run in `folder`, in order.

    Rows that are just being written are left for the next time.
    """
    values = []
    for path in sorted(folder.glob(METRICS_PATTERN), key=lambda path: path.stat().st_mtime):
        for row in read_rows(path)[1]:
            with suppress(ValueError):
                values.append(float(row.get(name) or ""))
    return values


def logged_names(folder: Path) -> list[str]:
    """Names of all figures of the run in `folder`."""
    names: set[str] = set()
    for path in folder.glob(METRICS_PATTERN):
        names |= set(read_rows(path)[0])
    return sorted(names)


def options_of_run(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """The values that options had in the run in `folder`, of those that its config.yaml has."""
    path = folder / "config.yaml"
    config = read_config(path) if path.is_file() else {}
    found = {}
    for name in names:
        with suppress(KeyError, TypeError):
            found[name] = _look_up(config, name)
    return found


def _look_up(config: dict[str, Any], name: str) -> Any:  # noqa: ANN401 (a value of any option)
    """`model.optimizer.lr`, where `init_args` may be left out as on the command line."""
    place: Any = config
    for part in name.split("."):
        place = place[part] if part in place else place["init_args"][part]
    return place


def last_words(log: Path, most: int = 300) -> str:
    """Why a process failed, from its output: its error line, else its last one."""
    lines = [
        line.strip()
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it said nothing"])[-1][:most]
