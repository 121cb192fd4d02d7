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
    places = {"source": "/data/maestro", "cache_dir": "~/cache"}
    data = {"class_path": "datamodules.MaestroDataModule", "init_args": places}
    roles, constructors = {"data": pl.LightningDataModule}, {"trainer": pl.Trainer}
    own = {"data": data, "density": "../a.npz", "trainer": {"default_root_dir": str(path.parent / "logs")}}
    path.write_text(yaml.safe_dump(own))
    check_config(path, roles, constructors)
    path.write_text(yaml.safe_dump({**own, "trainer": {"default_root_dir": str(tmp_path)}}))
    with pytest.raises(CheckpointError, match=r"\(at trainer.default_root_dir\), which lies outside"):
        check_config(path, roles, constructors)
