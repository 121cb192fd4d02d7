"""One process at a time trains in a run's folder."""

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
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".running.json"}
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch, capsys) -> None:
    def refuse(self: object, timeout: float) -> None:
        raise NotImplementedError("no locks here")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with training_alone(tmp_path):
        assert "cannot be locked (no locks here)" in capsys.readouterr().out
