"""Tables in the run's folder."""

from pathlib import Path

import pytest

from lightning_modules.loggers.folder_media import FolderMedia


def test_a_continued_run_takes_back_what_lay_behind_its_checkpoint(tmp_path: Path) -> None:
    media = FolderMedia(tmp_path)
    for step, text in ((1, "one"), (2, "two"), (3, "three")):
        media.log_table("health/findings", ["step", "text"], [[step, text]], step)
    media.log_table("health/findings", ["step", "text"], [[2, "two again"]], 2)
    media.log_table("scores", ["value"], [[0.5], [None]], 7)
    assert (tmp_path / "tables/health_findings.csv").read_text() == "step,text\n1,one\n2,two\n2,two again\n"
    assert (tmp_path / "tables/scores.csv").read_text() == "step,value\n7,0.5\n7,None\n"


def test_a_disk_that_refuses_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "tables").touch()
    with pytest.warns(UserWarning, match=r"Cannot write .*tables/t\.csv"):
        FolderMedia(tmp_path).log_table("t", ["a"], [["x"]], 1)
