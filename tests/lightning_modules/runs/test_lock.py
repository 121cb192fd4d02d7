"""One process at a time trains in a run's folder."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_modules.errors import RunError
from lightning_modules.runs.lock import training_alone

HOLD = """
import sys
from pathlib import Path
from lightning_modules.runs.lock import training_alone
with training_alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_says_who_trains(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=rf"by process {holder.pid} on {socket.gethostname()} since 20"):
            with training_alone(tmp_path):
                pass
        holder.kill()
        holder.wait()
    with training_alone(tmp_path):  # the system frees what a killed process held
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EIO, errno.EINVAL])
def test_a_file_system_without_locks_is_said(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("datamodules.files.fcntl.flock", refuse)
    with training_alone(tmp_path):
        said = f"cannot be locked ({os.strerror(number)}): start no second process in it"
        assert said in capsys.readouterr().out


def test_a_lock_that_nobody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems answer that every lock is held."""

    def busy(*_: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("datamodules.files.fcntl.flock", busy)
    monkeypatch.setattr("datamodules.files._SETTLED_SECONDS", 0.0)
    with pytest.raises(RunError, match="no running process says that it holds it"), training_alone(tmp_path):
        pass


def test_a_link_for_a_lock_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with training_alone(tmp_path / "run"):
        assert "cannot be locked" in capsys.readouterr().out
    assert (tmp_path / "mine").read_text() == "mine"
