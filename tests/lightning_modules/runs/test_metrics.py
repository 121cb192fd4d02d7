"""Metrics files are read as far as they are whole."""

from pathlib import Path

import pytest

from lightning_modules.errors import RunError
from lightning_modules.runs.metrics import read_rows


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a\n1,0.5\n,7\n2,0.25,9\n3,1\n4,0.")
    assert read_rows(path) == (["step", "a"], [{"step": "1", "a": "0.5"}, {"step": "3", "a": "1"}])
    path.write_text("")
    assert read_rows(path) == ([], [])


@pytest.mark.parametrize(
    "content", [b"step,a\n1,\xff\n", b"step,a\none,2\n", b"step,a\n-1,2\n", b'step,a\n1,"' + b"x" * 200_000]
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content + b"\n")
    with pytest.raises(RunError, match=r"metrics.csv cannot be read, or is damaged"):
        read_rows(path)


def test_a_folder_or_a_pipe_is_no_metrics_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_rows(tmp_path)
