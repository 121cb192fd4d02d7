"""`lightning compare`: from runs, tests and checkpoints to one page."""

import os
from pathlib import Path

import pytest
from toy_results import write_tested_run

from lightning_modules.cli import main
from lightning_modules.cli.commands.compare import find_test, find_tests
from lightning_modules.errors import ReportError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A tested run with two checkpoints, of which `best.ckpt` was tested."""
    folder = tmp_path / "runs" / "toy" / "one"
    write_tested_run(folder)
    (folder / "checkpoints").mkdir()
    for name in ("best.ckpt", "last.ckpt"):
        (folder / "checkpoints" / name).touch()
    return folder


def test_runs_side_by_side(run: Path, tmp_path: Path, monkeypatch, capsys):
    write_tested_run(run.parent / "two", scores=())
    monkeypatch.chdir(tmp_path)
    for name in ("compare.html", "compare-2.html"):
        main(["compare", "runs/toy/one", "runs/toy/two/test"])
        assert f"2 run(s) side by side: {name}" in capsys.readouterr().out
    page = (tmp_path / "compare.html").read_text()
    assert "toy/one" in page
    assert "toy/two" in page
    assert page.count("<audio") == 2 + 2 + 2 + 2  # originals, reconstructions of both, samples
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare-2.html", "compare.html", "runs"]


def test_output_is_where_one_says(run: Path, tmp_path: Path):
    page = tmp_path / "new" / "page.html"
    for _ in range(2):
        main(["compare", str(run), "--output", str(page)])
    assert "toy/one" in page.read_text()


def test_runs_of_the_same_name_are_told_apart(run: Path, tmp_path: Path):
    other = write_tested_run(tmp_path / "elsewhere" / "toy" / "one")
    main(["compare", str(run), str(other), "--output", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert str(run / "test") in page
    assert str(other) in page


def test_a_run_means_its_newest_test(run: Path):
    write_tested_run(run.parent / "two").rename(run / "test-2")
    for name, time in (("test", 2000), ("test-2", 1000)):
        os.utime(run / name / "listening" / "listening.json", (time, time))
    assert find_test(run) == run / "test"
    os.utime(run / "test-2" / "listening" / "listening.json", (3000, 3000))
    assert find_test(run) == run / "test-2"


def test_a_checkpoint_means_its_own_test(run: Path):
    write_tested_run(run.parent / "two", checkpoint="last.ckpt").rename(run / "test-2")
    assert find_test(run / "checkpoints" / "best.ckpt") == run / "test"
    assert find_test(run / "checkpoints" / "last.ckpt") == run / "test-2"


def test_an_untested_checkpoint(run: Path):
    path = run / "checkpoints" / "last.ckpt"
    with pytest.raises(ReportError, match=f"{path} was not tested yet\n.*lightning test --ckpt_path {path}`"):
        find_test(path)


def test_a_checkpoint_elsewhere(tmp_path: Path):
    (tmp_path / "stray.ckpt").touch()
    with pytest.raises(
        ReportError, match=r"stray\.ckpt is no checkpoint in a run's folder\n.*its test wrote"
    ):
        find_test(tmp_path / "stray.ckpt")


def test_an_untested_run_says_how_to_test_it(run: Path, capsys):
    (run / "test").rename(run.parent / "kept")
    with pytest.raises(SystemExit) as end:
        main(["compare", str(run)])
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert f"error: the run {run} was not tested yet" in error
    assert f"lightning test --ckpt_path {run}/checkpoints/best.ckpt" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("given", [".", "test"])
def test_a_test_without_anything_to_listen_to(run: Path, given: str):
    (run / "test" / "listening").rename(run.parent / "kept")
    with pytest.raises(ReportError, match="was tested without the callback ListeningReport") as error:
        find_test(run / given)
    assert f"--ckpt_path {run}/checkpoints/best.ckpt" in str(error.value)


def test_other_folders_and_no_folders(tmp_path: Path):
    with pytest.raises(ReportError, match="is neither the folder of a run nor that of a test"):
        find_test(tmp_path)
    with pytest.raises(ReportError, match="nowhere does not exist"):
        find_test(tmp_path / "nowhere")


def test_the_same_run_twice_and_too_many(run: Path):
    with pytest.raises(ReportError, match=r"is given twice: its test is .*toy/one/test"):
        find_tests([run, run / "test"])
    with pytest.raises(ReportError, match="13 runs are too many"):
        find_tests([run] * 13)
