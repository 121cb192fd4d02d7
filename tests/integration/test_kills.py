"""A run that is killed at any moment and continued is, to the last bit, the run that was left alone."""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.runs.metrics import read_rows

TOYS = Path(__file__).parents[1] / "toys"

# Forks a run for every line it reads, so that Python, torch and Lightning start once and not at every kill.
NURSERY = """
import json, logging, os, sys, time, traceback, warnings
from pathlib import Path
import torch
torch.set_num_threads(1)
import tiny_training
warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

def save_slowly(content, path, save=torch.save):
    # long enough for some kills to fall into it: half a file on the disk
    save(content, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    time.sleep(0.02)
    path.write_bytes(content)

for line in sys.stdin:
    kind, workers, root, source, cache = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        torch.save = save_slowly
        try:
            tiny_training.train(kind, Path(root), tiny_training.make_data(source, cache, workers))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)  # an interpreter that ends by itself would wait for threads that the fork left behind
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Starts runs, and kills them."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def start(self, *run: Any) -> int:
        """The process of a run."""
        self.process.stdin.write(json.dumps(run, default=str).encode() + b"\n")
        return int(self.process.stdout.readline())

    def ends_within(self, seconds: float) -> bool:
        """Wait for the run to end, but no longer than that."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def end(self) -> int:
        """How the run ended, once it has."""
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    environment = {**os.environ, "PYTHONPATH": f"{TOYS}:{Path(__file__).parents[2]}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", NURSERY]
    # unbuffered: select() sees what readline() has left
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        yield Nursery(process)
        process.stdin.close()


def figures(root: Path) -> list[dict[str, str]]:
    """All rows that the run logged, over its versions, without empty fields."""
    files = sorted(root.glob("metrics/version_*/metrics.csv"), key=lambda file: int(file.parent.name[8:]))
    rows = [row for file in files for row in read_rows(file)[1]]
    return [{name: value for name, value in row.items() if value} for row in rows]


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}/{index}")
    else:
        assert one == other, where


def assert_same_run(root: Path, expected: Path) -> None:
    content, wanted = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (root, expected)
    )
    for key in ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "random_state"):
        assert_same(content[key], wanted[key], key)
    for key in ("epoch_loop.batch_progress", "epoch_progress", "state_dict"):
        assert_same(content["loops"]["fit_loop"][key], wanted["loops"]["fit_loop"][key], key)
    assert figures(root) == figures(expected)


def whole_run(nursery: Nursery, kind: str, source: Path, folder: Path) -> float:
    """Seconds that an uninterrupted run takes."""
    nursery.start(kind, 0, folder / "expected", source, folder / "expected-cache")
    start = time.monotonic()  # torch and Lightning are imported
    assert nursery.end() == 0
    assert len(figures(folder / "expected")) == 24 + 4  # steps and validations
    return time.monotonic() - start


def kill(child: int) -> None:
    """With its workers, unless it has ended; a moment after the fork it has no group of its own yet."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            send(child, signal.SIGKILL)
            return


def kill_repeatedly(
    nursery: Nursery, run: tuple[Any, ...], kills: int, longest: float, expected: Path
) -> Counter[str]:
    """Start and kill a run; whenever it gets to its end, compare and begin anew without cache."""
    kind, workers, root, _, cache = run
    moments, count, status = random.Random(f"{kind}{workers}"), Counter(), None
    while count["kills"] < kills or status != 0:
        child = nursery.start(*run)
        if count["kills"] < kills and not nursery.ends_within(moments.uniform(0, longest)):
            kill(child)
        status = nursery.end()
        assert status in (0, signal.SIGKILL), status
        count["kills"] += status == signal.SIGKILL
        if status == 0:
            count["ends"] += 1
            assert_same_run(root, expected)
            shutil.rmtree(root)
            shutil.rmtree(cache)
        elif list(root.glob("checkpoints/.*.part")):
            count["in a checkpoint"] += 1
        elif not (root / "metrics").exists():
            count["before training"] += 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["vae", "wavegan"])
def test_killed_runs_end_in_the_same_bits(
    nursery: Nursery, tiny_release: Path, tmp_path: Path, kind: str, workers: int
) -> None:
    seconds = whole_run(nursery, kind, tiny_release, tmp_path)
    run = (kind, workers, tmp_path / "run", tiny_release, tmp_path / "cache")
    count = kill_repeatedly(nursery, run, 20, 0.7 * seconds, tmp_path / "expected")
    print(f"{kind}, {workers} workers: {dict(count)}")
