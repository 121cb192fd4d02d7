"""A preparation that is killed again and again ends in the same bytes as one that is left alone."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from range_server import RangeServer

from datamodules.archive.http_file import TransferPolicy
from datamodules.cache.preparation import Preparation

TRANSFER = TransferPolicy(attempts=3, stall_seconds=5.0, backoff_seconds=0.01)

# Forks a preparation for every line it reads, so that Python and numpy start once and not at every kill.
NURSERY = """
import os, sys
from pathlib import Path
from datamodules.cache import builder as cache_builder
from datamodules.cache import preparation
from datamodules.archive import zip_archive
from datamodules.archive.http_file import TransferPolicy
import soundfile, soxr
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        transfer = TransferPolicy(attempts=3, stall_seconds=5.0, backoff_seconds=0.01)
        preparation.Preparation(
            "v3.0.0", sys.argv[1], sys.argv[2], keep_recordings=True, transfer=transfer, progress=False
        ).prepare()
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


@pytest.fixture
def many_url(
    tmp_path: Path,
    web: Path,
    server: RangeServer,
    make_release: Callable,
    recording: Callable,
    pack: Callable,
) -> tuple[str, Path]:
    """URL and folder of a release of 30 short recordings."""
    folder = make_release(
        tmp_path / "maestro-v3.0.0", [recording(f"p{i:02}", seconds=1.0, rate=48_000) for i in range(30)]
    )
    pack(folder, web / "maestro-v3.0.0.zip")
    (web / "maestro-v3.0.0.csv").write_bytes((folder / "maestro-v3.0.0.csv").read_bytes())
    return f"{server.url}/maestro-v3.0.0.zip", folder


def content(folder: Path) -> dict[str, bytes]:
    """All files but locks, and what was checked when: it holds the files' times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not path.name.endswith(".checked.json")
    }


def slow_down(server: RangeServer) -> None:
    """Pauses inside members, so that kills fall into transfers, conversions and renames alike."""
    random_pause = random.Random(1)

    def pause(answer: object) -> None:
        answer.stall_at = random_pause.randrange(0, 150_000)  # type: ignore[attr-defined]
        answer.stall_seconds = 0.01  # type: ignore[attr-defined]

    server.always.append(pause)


def kill_repeatedly(url: str, cache: Path, kills: int, longest: float) -> tuple[int, int]:
    """Start and kill preparations; whenever one gets to its end, begin anew with an empty cache.

    Returns:
        How many were killed, and how many ended before.
    """
    import shutil

    moments = random.Random(0)
    killed = ended = 0
    command = [sys.executable, "-c", NURSERY, url, str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        while killed < kills:
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            time.sleep(moments.uniform(0, longest))
            subprocess.run(["kill", "-KILL", str(child)], check=False, stderr=subprocess.DEVNULL)
            status = int(nursery.stdout.readline())
            assert status in (0, signal.SIGKILL), status
            if status == 0:
                ended += 1
                shutil.rmtree(cache)
            killed += status == signal.SIGKILL
        nursery.stdin.close()
    return killed, ended


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_resumed_to_the_same_bytes(
    many_url: tuple[str, Path], server: RangeServer, tmp_path: Path, kills: int
) -> None:
    url, folder = many_url
    slow_down(server)
    killed, ended = kill_repeatedly(url, tmp_path / "cache", kills, longest=0.25)
    assert killed == kills
    made, expected = (
        Preparation("v3.0.0", url, tmp_path / name, keep_recordings=True, transfer=TRANSFER, progress=False)
        for name in ("cache", "expected")
    )
    before = made.status().finished
    server.always.clear()
    made.prepare()
    expected.prepare()
    print(f"{killed} killed, {ended} ended, {before} of 30 finished at the last kill")
    assert content(tmp_path / "cache") == content(tmp_path / "expected")
    for path in folder.rglob("*.wav"):
        kept = tmp_path / "cache/recordings/maestro-v3.0.0" / path.relative_to(folder)
        assert kept.read_bytes() == path.read_bytes()


def test_two_preparations_at_once(many_url: tuple[str, Path], server: RangeServer, tmp_path: Path) -> None:
    """The second one waits, and fetches nothing twice."""
    url, folder = many_url
    slow_down(server)
    command = [sys.executable, "-c", NURSERY, url, str(tmp_path / "cache")]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        assert one.communicate()[0].splitlines()[1] == "0"
    members = sum(path.stat().st_size for path in folder.rglob("*.wav"))
    assert server.moved < 1.05 * members + 250_000  # the directory twice
    assert Preparation("v3.0.0", url, tmp_path / "cache").status().finished == 30
