"""Which config goes with a checkpoint, before the command line is parsed."""

import shutil
from pathlib import Path

import pytest
import torch

from lightning_modules.cli import main
from lightning_modules.cli.run_arguments import check_text, describe, unabbreviated, with_run_config
from lightning_modules.errors import OptionError, RunError

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]


@pytest.fixture
def checkpoint(toy_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", str(toy_yaml), "--run_id", "one", "--trainer.max_epochs", "1", *QUIET])
    return Path("runs/toy/one/checkpoints/last.ckpt")


def test_an_overlay_lies_on_the_options_of_the_run(checkpoint: Path, toy_yaml: Path) -> None:
    Path("longer.yaml").write_text("trainer: {max_epochs: 2}\nmodel: {init_args: {fail_at_step: 100}}\n")
    main(["fit", "--ckpt", str(checkpoint), "--conf=longer.yaml", *QUIET])
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 8
    config = Path("runs/toy/one/config-resume-1.yaml").read_text()
    assert "fail_at_step: 100" in config and "toy_experiment.Scale" in config
    whole = ["fit", "--ckpt_path", str(checkpoint), "--config", str(toy_yaml)]
    assert with_run_config(whole) == whole, "a whole config stands alone"


def test_a_copied_checkpoint_asks_for_its_options(checkpoint: Path, toy_yaml: Path) -> None:
    shutil.copy(checkpoint, "copied.ckpt")
    with pytest.raises(RunError, match=r"copied.ckpt lies in no run's folder.*(.|\n)*add --config FILE.yaml"):
        with_run_config(["test", "--ckpt_path", "copied.ckpt"])
    whole = ["test", "--ckpt_path", "copied.ckpt", "--config", str(toy_yaml)]
    assert with_run_config(whole) == whole


def test_beginnings_of_options_count_as_the_parser_takes_them() -> None:
    assert unabbreviated("--ckpt=a") == "--ckpt_path=a"
    assert unabbreviated("--exp") == "--experiment"
    assert unabbreviated("--run") == "--run", "of two"
    assert unabbreviated("--co") == "--co", "also of others"
    assert unabbreviated("ckpt") == "ckpt" and unabbreviated("--") == "--"


def test_what_a_config_describes(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for text, expected in {
        "model: a.B": True,
        "fit: {model: {class_path: a.B}}": True,
        "model: {init_args: {width: 3}}": False,
        "trainer: {max_steps: 3}": False,
    }.items():
        path.write_text(text)
        assert describe([str(path)], "model") is expected, text


def test_words_that_are_no_text_are_named() -> None:
    check_text(["fit", "--data.source", "Aufnahmen für Flügel"])
    with pytest.raises(OptionError, match=r"is no text in UTF-8(.|\n)*or give a link that has one"):
        check_text(["fit", "--data.source", b"\xff\xfe".decode(errors="surrogateescape")])
