"""`lightning prepare`: the cache that the data module would make, from the command line."""

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import jsonargparse
import pytest

from datamodules import MaestroDataModule
from datamodules.archive.http_file import TransferPolicy
from datamodules.cache.preparation import Preparation
from datamodules.errors import OptionError
from lightning_modules.cli import main
from lightning_modules.cli.commands.prepare import add_arguments, data_options, make_preparation

DATA = Path(__file__).parents[4] / "experiments/data"


@pytest.fixture
def start(tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs the verb on the tiny release; returns what it prints."""

    def run(*arguments: str) -> str:
        common = [
            "--release",
            "v3.0.0",
            "--source",
            str(tiny_release),
            "--cache_dir",
            str(tmp_path / "cache"),
        ]
        main(["prepare", *common, "--progress", "false", *arguments])
        return capsys.readouterr().out

    return run


def parse(*arguments: str) -> Preparation:
    parser = jsonargparse.ArgumentParser()
    add_arguments(parser)
    return make_preparation(parser.parse_args(list(arguments)))


def test_options_are_those_of_the_data_module() -> None:
    """Name by name, with the same defaults and types; of no release are recordings of another module."""
    module = inspect.signature(MaestroDataModule.__init__).parameters
    for field in fields(Preparation):
        assert module[field.name].default == field.default, field.name
        expected = str | None if field.name == "release" else module[field.name].annotation
        assert field.type == expected, field.name


def test_prepare_status_verify(start, tiny_release: Path, tmp_path: Path) -> None:
    assert start("--status").startswith("0 of 5 recordings cached: 0.00 h, 0.00 GB in ")
    assert "5 missing: 0.00 h" in start("--status")
    assert not (tmp_path / "cache").exists()
    assert start("--splits", "[train]").startswith("3 of 3 recordings cached")
    assert start("--status").startswith("3 of 5")
    assert start().startswith("5 of 5 recordings cached")
    assert start("--verify").startswith("5 of 5")
    module = MaestroDataModule("v3.0.0", tiny_release, tmp_path / "cache", progress=False)
    module.setup()
    assert len(module.performances) == 5


def test_verify_names_damaged_files(start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start()
    (path,) = (tmp_path / "cache").rglob("a.wav.pcm")
    raw = path.read_bytes()
    path.write_bytes(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:])
    with pytest.raises(SystemExit):
        start("--verify")
    error = capsys.readouterr().err
    assert "error: 1 file(s) of the cache are damaged:\n  - " in error
    assert "a.wav.pcm: CRC-32 is" in error and "delete these files and run `lightning prepare` again" in error
    path.unlink()
    start()
    assert path.read_bytes() == raw


def test_configs_and_the_command_line_override_in_order(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "rate: 22050\nmodel: {class_path: VAE}\n"
        "data: {class_path: MaestroDataModule, init_args: "
        "{sample_rate: '${rate}', batch_size: 8, max_hours: 3, splits: [test]}}\n"
    )
    two_hours = str(DATA / "maestro_2h.yaml")
    made = parse("--config", two_hours)
    assert (made.release, made.max_hours, made.source, made.sample_rate) == ("v3.0.0", 2, None, 16_000)
    made = parse("--config", two_hours, "--config", str(other), "--channels", "2", "--transfer.attempts", "3")
    assert (made.release, made.max_hours, made.sample_rate) == ("v3.0.0", 3, 22_050)
    assert (made.splits, made.channels, made.transfer) == (["test"], 2, TransferPolicy(attempts=3))
    assert parse("--config", two_hours, "--max_hours", "5").max_hours == 5
    assert parse("--config", str(DATA / "maestro_v3.yaml")).max_hours is None


def test_configs_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--config nowhere\.yaml cannot be read .*\n.*YAML file"):
        data_options("nowhere.yaml")
    path = tmp_path / "x.yaml"
    for content, message in (
        ("data: [", r"x\.yaml cannot be read"),
        (
            "data: {class_path: elsewhere.OtherData}",
            r"uses the data module elsewhere\.OtherData\n.*MaestroDataModule",
        ),
        ("data: {init_args: {sample_rate: fast}}", r"x\.yaml: .*fast"),
        ("data: text", r"x\.yaml cannot be read"),
    ):
        path.write_text(content)
        with pytest.raises(OptionError, match=message):
            data_options(str(path))
    path.write_text("model: {}")
    assert data_options(str(path)) == {}
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OptionError, match=r"x\.yaml cannot be read .*no regular file"):
        data_options(str(path))


def test_it_starts_without_lightning() -> None:
    program = (
        "import sys; from lightning_modules.cli.commands import prepare; "
        "import datamodules.cache.preparation as p; p.Preparation(); "
        "print([m for m in ('torch', 'lightning') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
