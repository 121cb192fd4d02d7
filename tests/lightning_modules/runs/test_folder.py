"""Run folders: names, continuing, never overwriting."""

import os
import re
from pathlib import Path

import pytest

from lightning_modules.errors import RunError
from lightning_modules.runs.folder import (
    Run,
    checkpoint_in,
    free_path,
    latest_config,
    new_run_id,
    next_config_path,
    plan_run,
    run_of_checkpoint,
)


def make_run(runs_dir: Path, run_id: str, *checkpoints: str) -> Path:
    folder = runs_dir / "vae" / run_id
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").touch()
    for name in checkpoints:
        (folder / "checkpoints" / name).touch()
    return folder


def test_a_new_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    run = plan_run("fit", "vae", tmp_path, None, None)
    assert run.folder == run.root == tmp_path / "vae" / run.id
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run.id)
    assert not run.folder.exists(), "planning must not write"
    run.create()
    assert list(run.folder.iterdir()) == []


def test_ids_differ_and_follow_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({new_run_id() for _ in range(8)}) > 1
    monkeypatch.setenv("WANDB_RUN_ID", "sweep7")
    assert new_run_id() == "sweep7"


def test_a_folder_that_exists_is_not_taken(tmp_path: Path) -> None:
    make_run(tmp_path, "first")
    with pytest.raises(RunError, match=r"vae/first exists already(.|\n)*give another --run_id, or continue"):
        plan_run("fit", "vae", tmp_path, "first", None).create()


def test_fit_from_a_checkpoint_of_a_run_continues_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "first", "last.ckpt")
    run = plan_run("fit", "other", tmp_path / "elsewhere", None, folder / "checkpoints" / "last.ckpt")
    assert (run.folder, run.root, run.resumed) == (folder, folder, True)
    assert (run.experiment, run.id) == ("vae", "first")
    run.create()


def test_a_checkpoint_from_elsewhere_starts_a_new_run(tmp_path: Path) -> None:
    checkpoint = tmp_path / "downloads" / "last.ckpt"
    run = plan_run("fit", "vae", tmp_path / "runs", "mine", checkpoint)
    assert (run.folder, run.resumed) == (tmp_path / "runs" / "vae" / "mine", False)
    assert run_of_checkpoint(checkpoint) is None


def test_other_verbs_write_into_folders_of_their_own(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "first", "best.ckpt")
    for expected in ("test", "test-2", "test-3"):
        run = plan_run("test", "vae", tmp_path, None, folder / "checkpoints" / "best.ckpt")
        assert run.root == folder / expected
        run.create()


def test_run_id_that_contradicts_the_checkpoint(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "first", "last.ckpt")
    with pytest.raises(RunError, match=r"--run_id second asks for a new run, but the checkpoint .* first"):
        plan_run("fit", "vae", tmp_path, "second", folder / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("name", ["a/b", "", "..", "a b", "~"])
def test_names_that_are_no_folder_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match=re.escape(f"run_id is {name!r}, which is not a plain folder name")):
        plan_run("fit", "vae", tmp_path, name, None)
    with pytest.raises(RunError, match="experiment is"):
        plan_run("fit", name, tmp_path, None, None)


def test_no_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)  # the tests may run as root, who may write everywhere
    with pytest.raises(RunError, match=r"Cannot write to .*first \(Permission denied\)(.|\n)*--runs_dir"):
        Run(tmp_path / "first", tmp_path / "first", "fit", False).create()


def test_configs_of_a_continued_run_are_kept(tmp_path: Path) -> None:
    names = []
    for time in range(3):
        path = next_config_path(tmp_path)
        path.touch()
        os.utime(path, (9 - time, 9 - time))  # a clock that goes backwards
        names.append(path.name)
        assert latest_config(tmp_path) == path
    assert names == ["config.yaml", "config-resume-1.yaml", "config-resume-2.yaml"]


def test_free_path_counts_up_and_keeps_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "step_000400").mkdir()
    assert free_path(tmp_path / "step_000400").name == "step_000400-2"
    assert free_path(tmp_path / "fresh.yaml").name == "fresh.yaml"
    (tmp_path / "a-9.yaml").touch()
    assert free_path(tmp_path / "a-9.yaml").name == "a-10.yaml"


def test_a_run_s_folder_stands_for_its_best_checkpoint(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    with pytest.raises(RunError, match=r"holds no checkpoints/best\.ckpt"):
        checkpoint_in(tmp_path)
    for name in ("last.ckpt", "best.ckpt"):
        (checkpoints / name).touch()
        assert checkpoint_in(tmp_path) == checkpoints / name
    assert checkpoint_in(tmp_path / "other.ckpt") == tmp_path / "other.ckpt"
    (tmp_path / "model.safetensors").touch()
    assert checkpoint_in(tmp_path) == tmp_path, "a model's own folder"


def test_a_start_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    fit = plan_run("fit", "vae", tmp_path, "first", None).create()
    fit.remove_if_empty()
    assert list(tmp_path.iterdir()) == []
    folder = make_run(tmp_path, "first", "best.ckpt")
    test = plan_run("test", "vae", tmp_path, None, folder / "checkpoints" / "best.ckpt").create()
    assert (folder / "test").is_dir()
    test.remove_if_empty()
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "config.yaml"]


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_what_is_no_name_cannot_be_numbered(path: str) -> None:
    with pytest.raises(RunError, match="is no name of something new"):
        free_path(Path(path))


def test_a_link_that_leads_nowhere_takes_a_name(tmp_path: Path) -> None:
    (tmp_path / "generate").symlink_to(tmp_path / "nowhere")
    assert free_path(tmp_path / "generate").name == "generate-2"


@pytest.mark.parametrize("name", ["samples", "metrics/version_1", "loop"])
def test_a_run_does_not_write_through_links_that_leave_it(tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / "runs", "first", "last.ckpt")
    (folder / "metrics").mkdir()
    (folder / "inside").symlink_to(folder / "metrics")
    (folder / "checkpoints/best.ckpt").symlink_to(tmp_path / "elsewhere.ckpt")
    (tmp_path / "elsewhere.ckpt").touch()
    run = plan_run("fit", "vae", tmp_path / "runs", None, folder / "checkpoints/last.ckpt")
    run.create()
    outside = tmp_path / "loop" if name == "loop" else tmp_path / "outside"
    outside.symlink_to(outside) if name == "loop" else outside.mkdir()
    (folder / name).symlink_to(outside)
    with pytest.raises(RunError, match=rf"{name} is a link that leads out of the run's folder"):
        run.create()
    plan_run("test", "vae", tmp_path / "runs", None, folder / "checkpoints/last.ckpt").create()
