"""A run's config is read within limits."""

import os
from pathlib import Path

import lightning.pytorch as pl
import pytest
import yaml

from lightning_modules.errors import CheckpointError, RunError
from lightning_modules.runs.config import check_config, parse_config, read_config, with_links

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "holds more than 50,000 values"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper than 40 levels"),
        ("a: " + "[" * 100_000, "nested deeper|no YAML"),
        ("a: [", "is no YAML"),
        ("- 1", "is no table of options"),
        ("", "is no table of options"),
        ("a: " + "x" * 2_000_000, "is larger than"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML"),
    ],
)
def test_what_is_no_config_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        parse_config(text, "config.yaml")


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model: {class_path: a.B}")
    assert read_config(path) == {"model": {"class_path": "a.B"}}
    path.write_bytes(b"a: \xff")
    with pytest.raises(RunError, match="cannot be read"):
        read_config(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "config-resume-1.yaml"
    os.mkfifo(path)
    with pytest.raises(RunError, match="no regular file"):
        read_config(path)
    link = tmp_path / "link.yaml"
    link.symlink_to("/dev/zero")
    with pytest.raises(RunError, match="no regular file"):
        read_config(link)


def test_a_config_that_came_along_refers_to_numbers_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for steps, text, refused in (
        (5, "${trainer.max_steps}", False),
        ("five", "${trainer.max_steps}", True),
        (5, "${experiment}", True),
        (5, "${trainer.max_steps}${experiment}", True),
    ):
        path.write_text(yaml.safe_dump({"trainer": {"max_steps": steps}, "wandb": {"notes": text}}))
        if refused:
            with pytest.raises(CheckpointError, match="put in this place what does not belong there"):
                check_config(path, {}, {})
        else:
            check_config(path, {}, {})


def test_what_followed_the_number_of_steps_follows_it_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("model: {total: '${trainer.max_steps}', other: '${ trainer.max_steps }', own: 5}")
    second.write_text("model: {other: 7}")
    config = yaml.safe_dump({"model": {"total": 5, "other": 7, "own": 5}, "trainer": {"max_steps": 5}})
    linked = yaml.safe_load(with_links(config, [first, second]))
    assert linked["model"] == {"total": "${trainer.max_steps}", "other": 7, "own": 5}
    assert with_links(config, [second]) == config
    changed = config.replace("total: 5", "total: 6")
    assert with_links(changed, [first, second]) == changed, "an override on the command line stays"


def test_data_may_lie_anywhere_and_what_is_written_may_not(tmp_path: Path) -> None:
    path = tmp_path / "one" / "config.yaml"
    path.parent.mkdir()
    (tmp_path / "cache" / "pcm").mkdir(parents=True)
    places = {"source": "/data/maestro", "cache_dir": str(tmp_path / "cache")}
    data = {"class_path": "datamodules.MaestroDataModule", "init_args": places}
    roles, constructors = {"data": pl.LightningDataModule}, {"trainer": pl.Trainer}
    own = {"data": data, "density": "../a.npz", "trainer": {"default_root_dir": str(path.parent / "logs")}}
    path.write_text(yaml.safe_dump(own))
    check_config(path, roles, constructors)
    path.write_text(yaml.safe_dump({**own, "trainer": {"default_root_dir": str(tmp_path)}}))
    with pytest.raises(CheckpointError, match=r"\(at trainer.default_root_dir\), which lies outside"):
        check_config(path, roles, constructors)


def came_along(tmp_path: Path, content: dict) -> None:
    path = tmp_path / "run" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    check_config(path, {"data": pl.LightningDataModule}, {"trainer": pl.Trainer})


def test_data_are_kept_only_where_data_are_kept(tmp_path: Path) -> None:
    places = {"cache_dir": str(tmp_path)}
    section = {"data": {"class_path": "datamodules.MaestroDataModule", "init_args": places}}
    with pytest.raises(CheckpointError, match=r"at data.cache_dir\), where none are kept so far"):
        came_along(tmp_path, section)
    (tmp_path / "notes").mkdir()
    came_along(tmp_path, section)


def test_no_other_file_is_read_in_the_place_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jsonargparse reads a class from a file if one has the name that is given."""
    callback = {"class_path": "lightning_modules.callbacks.Evaluation", "init_args": {"metrics": "more"}}
    for content in ({"strategy": "auto"}, {"callbacks": [callback]}):
        came_along(tmp_path, {"trainer": content})
    (tmp_path / "run" / "auto").write_text("{class_path: antigravity.Strategy}")
    (tmp_path / "more").write_text("antigravity.Metric")
    monkeypatch.chdir(tmp_path)
    came_along(tmp_path, {"runs_dir": "run", "compile": "more"})
    for content in ({"strategy": "auto"}, {"callbacks": [callback]}):
        with pytest.raises(CheckpointError, match="the name of a file, which would be read in its place"):
            came_along(tmp_path, {"trainer": content})


@pytest.mark.parametrize("value", ["loop/x", "a\0b"])
def test_paths_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CheckpointError, match=r"lies outside|is no path"):
        came_along(tmp_path, {"trainer": {"default_root_dir": value}})
