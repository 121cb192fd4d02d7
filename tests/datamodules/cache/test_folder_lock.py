"""One writer at a time, and right advice where locks do not work."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules import files
from datamodules.cache.folder_lock import single_writer
from datamodules.errors import CacheError

HOLD = """
import sys, time
from datamodules.cache.folder_lock import single_writer
with single_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_and_names_the_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process = hold(tmp_path / "cache", 1.0)
    with single_writer(tmp_path / "cache"):
        assert process.wait(60) == 0
    assert f"waiting for it to finish. It is process {process.pid} on " in capfd.readouterr().err.replace(
        "\n", " "
    )


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = hold(tmp_path / "cache", 600.0)
    process.kill()
    process.wait()
    start = time.monotonic()
    with single_writer(tmp_path / "cache"):
        assert time.monotonic() - start < 60


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EIO, errno.EINVAL])
def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with (
        pytest.raises(CacheError, match=r"cannot lock .*cache\.lock: .*\n.*`cache_dir` to a local disk"),
        single_writer(tmp_path / "cache"),
    ):
        pass


def test_a_lock_that_nobody_holds_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(files.fcntl, "flock", busy)
    monkeypatch.setattr(files, "ABANDONED_SECONDS", 0.3)
    with (
        pytest.raises(CacheError, match="reported as locked, but no running process holds it"),
        single_writer(tmp_path / "cache", progress=False),
    ):
        pass


def test_the_lock_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "cache.lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError), single_writer(tmp_path / "cache"):
        pass
    assert (tmp_path / "other").read_text() == "mine"
