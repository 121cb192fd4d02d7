"""Folders of models: hostile ones are refused by the rules for checkpoints."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_models import make_vae

from lightning_modules.base import GenerativeModule
from lightning_modules.errors import CheckpointError, RunError

pytest.importorskip("safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_vae().save_pretrained(tmp_path / "piano")
    return tmp_path / "piano"


@pytest.fixture
def planted(folder: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """A function that changes the description in a folder."""

    def plant(change: Callable[[dict[str, Any]], None]) -> Path:
        content = json.loads((folder / "config.json").read_text())
        change(content)
        (folder / "config.json").write_text(json.dumps(content))
        return folder

    return plant


def test_a_folder_opens_as_a_checkpoint_does(folder: Path) -> None:
    model = GenerativeModule.load_from_checkpoint(folder)
    waveform = torch.rand(1, 1, 500) - 0.5
    assert torch.equal(model.reconstruct(waveform), make_vae().reconstruct(waveform))


def test_a_folder_whose_name_is_no_text(folder: Path, tmp_path: Path) -> None:
    named = tmp_path / os.fsdecode(b"caf\xe9")
    GenerativeModule.load_from_checkpoint(folder).save_pretrained(named)
    assert "# caf?\n" in (named / "README.md").read_text()


def test_a_pickle_in_the_place_of_the_weights_is_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        GenerativeModule.from_pretrained(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"holds no model\.safetensors\n.*pickled weights are not opened"
    ):
        GenerativeModule.from_pretrained(folder)


def test_a_class_path_of_another_program_is_refused(planted) -> None:
    def change(content: dict[str, Any]) -> None:
        content["module"]["init_args"]["encoder"] = {
            "class_path": "subprocess.Popen",
            "init_args": {"args": "true"},
        }

    with pytest.raises(CheckpointError, match=r"names subprocess\.Popen .*no part of this program"):
        GenerativeModule.from_pretrained(planted(change))


def test_a_huge_argument_is_refused(planted) -> None:
    def change(content: dict[str, Any]) -> None:
        content["module"]["init_args"]["coarse_generator"]["init_args"]["hidden_size"] = 50_000_000

    with pytest.raises(CheckpointError, match=r"asks for .* MiB and more|is larger|at most"):
        GenerativeModule.from_pretrained(planted(change))


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, "{}", json.dumps({"format": 99})])
def test_a_damaged_description_says_so(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"cannot be read|has the format"):
        GenerativeModule.from_pretrained(folder)


@pytest.mark.parametrize(("name", "value"), [("data", ["mini"]), ("data", "mini"), ("global_step", "many")])
def test_facts_of_another_type_are_refused(planted, name: str, value: object) -> None:
    folder = planted(lambda content: content.update({name: value}))
    with pytest.raises(CheckpointError, match=f"is damaged: {name} is missing, or not what it should be"):
        GenerativeModule.from_pretrained(folder)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"scores": 1}',
        '{"scores": [{"of": "samples"}]}',
        '{"scores": [{"name": "fad", "of": "samples", "value": 1, "low": "a", "high": 2}]}',
        "[" * 100_000,
    ],
)
def test_damaged_scores_of_the_run_say_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test/scores.json").write_text(content)
    with pytest.raises(RunError, match=r"scores\.json is damaged .*\n.*`lightning test`"):
        make_vae().save_pretrained(tmp_path / "piano", run=tmp_path)
    assert not (tmp_path / "piano").exists()
