"""Which checkpoint a verb starts from."""

import os
from pathlib import Path

import pytest
import torch

from lightning_modules.errors import CheckpointError, RunError
from lightning_modules.runs.resume import checkpoint_step, find_checkpoint, readable_checkpoint


def make_checkpoint(runs_dir: Path, run_id: str, name: str, step: int, time: int) -> Path:
    path = runs_dir / "vae" / run_id / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"global_step": step, "state_dict": {"weight": torch.ones(1000)}}, path)
    os.utime(path, (time, time))
    return path


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    position = content.index(torch.ones(4).numpy().tobytes())
    content[position + 2] ^= 1
    path.write_bytes(content)


def test_the_newest_run_is_the_last(tmp_path: Path) -> None:
    old = make_checkpoint(tmp_path, "b_old", "last.ckpt", 9, 100)
    best = make_checkpoint(tmp_path, "b_old", "best.ckpt", 5, 100)
    new = make_checkpoint(tmp_path, "a_new", "last.ckpt", 3, 200)
    assert find_checkpoint("last", tmp_path, "vae") == new
    assert find_checkpoint("last", tmp_path, None) == new
    assert find_checkpoint("last", tmp_path, "vae", "b_old") == old
    assert find_checkpoint("best", tmp_path, "vae") == best
    interrupted = make_checkpoint(tmp_path, "b_old", "interrupted.ckpt", 12, 300)
    assert find_checkpoint("last", tmp_path, "vae") == interrupted


def test_within_a_run_steps_count_and_not_the_clock(tmp_path: Path) -> None:
    last = make_checkpoint(tmp_path, "one", "last.ckpt", 20, 200)
    make_checkpoint(tmp_path, "one", "interrupted.ckpt", 14, 300)
    assert find_checkpoint("last", tmp_path, "vae") == last
    later = make_checkpoint(tmp_path, "one", "interrupted.ckpt", 24, 100)
    assert find_checkpoint("last", tmp_path, "vae") == later


def test_the_folder_of_a_run_means_its_last_to_train_and_its_best_to_score(tmp_path: Path) -> None:
    last = make_checkpoint(tmp_path, "one", "last.ckpt", 9, 100)
    best = make_checkpoint(tmp_path, "one", "best.ckpt", 5, 100)
    make_checkpoint(tmp_path, "two", "last.ckpt", 3, 200)
    folder = str(tmp_path / "vae" / "one")
    assert find_checkpoint(folder, Path("runs"), None) == last
    assert find_checkpoint(folder, Path("runs"), None, verb="test") == best
    best.unlink()
    assert find_checkpoint(folder, Path("runs"), None, verb="test") == last


def test_checkpoints_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--ckpt_path last: no run below .*wavegan has a checkpoint yet"):
        find_checkpoint("last", tmp_path, "wavegan")
    with pytest.raises(RunError, match=r"--ckpt_path .*none.ckpt: no such file(.|\n)*'last' or 'best'"):
        find_checkpoint(str(tmp_path / "none.ckpt"), tmp_path, "vae")


def test_auto_goes_on_or_starts(tmp_path: Path) -> None:
    assert find_checkpoint("auto", tmp_path, "vae", "job-7") is None
    last = make_checkpoint(tmp_path, "job-7", "last.ckpt", 3, 100)
    make_checkpoint(tmp_path, "job-8", "last.ckpt", 3, 200)
    assert find_checkpoint("auto", tmp_path, "vae", "job-7") == last
    with pytest.raises(RunError, match=r"no name is given(.|\n)*--run_id NAME"):
        find_checkpoint("auto", tmp_path, "vae")


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path, "one", "last.ckpt", 3, 100)
    assert checkpoint_step(path) == 3
    flip_a_byte(path)
    with pytest.raises(CheckpointError, match=r"last.ckpt is damaged: .*data/0 does not match its checksum"):
        checkpoint_step(path)
    interrupted = make_checkpoint(tmp_path, "one", "interrupted.ckpt", 99, 50)
    assert find_checkpoint("last", tmp_path, "vae") == path, "a damaged one is not passed over in silence"
    interrupted.unlink()


def test_falling_back_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    last = make_checkpoint(tmp_path, "one", "last.ckpt", 30, 100)
    best = make_checkpoint(tmp_path, "one", "best.ckpt", 20, 90)
    make_checkpoint(tmp_path, "one", "interrupted.ckpt", 10, 110)
    assert readable_checkpoint(last) == last
    assert capsys.readouterr().out == ""
    flip_a_byte(last)
    assert readable_checkpoint(last) == best
    said = capsys.readouterr().out
    assert "last.ckpt is damaged" in said and "best.ckpt, step 20" in said
    best.unlink()
    last.with_name("interrupted.ckpt").unlink()
    with pytest.raises(CheckpointError, match="no other checkpoint of the run can be read"):
        readable_checkpoint(last)


def test_names_are_names_and_no_patterns(tmp_path: Path) -> None:
    odd = make_checkpoint(tmp_path, "my run [2]*", "last.ckpt", 9, 100)
    make_checkpoint(tmp_path, "other", "last.ckpt", 3, 200)
    assert find_checkpoint(str(odd.parents[1]), Path("runs"), None) == odd
    assert find_checkpoint("last", tmp_path, "vae", "my run [2]*") == odd
    with pytest.raises(RunError, match="has a checkpoint yet"):
        find_checkpoint("last", tmp_path, "vae", "oth*")
    for name in ("../vae/other", "x/" * 3000, ".."):
        with pytest.raises(RunError, match="is no name of a run or an experiment"):
            find_checkpoint("auto", tmp_path, "vae", name)
