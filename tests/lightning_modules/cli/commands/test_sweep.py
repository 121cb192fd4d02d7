"""`lightning sweep`: what is refused before a trial starts. Whole sweeps: tests/lightning_modules/sweeps."""

import sys
from pathlib import Path

import pytest

from lightning_modules.cli import main
from lightning_modules.cli.commands.sweep import check_engine, checked_name
from lightning_modules.errors import SweepError

SHIPPED = Path(__file__).parents[4] / "experiments/sweeps/vae.yaml"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "/tmp", "a\0", "a\x1b[31m", "a\nb", "a" * 300]
)
def test_a_name_that_leads_out_of_the_folder_of_sweeps(name: str):
    with pytest.raises(SweepError, match="does not name a folder within --sweeps_dir"):
        checked_name(name)
    assert checked_name("vae..2") == "vae..2"


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SweepError, match=r"Optuna, which searches, cannot be imported(.|\n)*\[sweeps\]"):
        check_engine()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(SHIPPED), "--count", "0"], "--count is 0"),
        ([str(SHIPPED), "--seed", "-1"], "--seed is -1"),
        ([str(SHIPPED), "--sweeps_dir", str(SHIPPED)], f"Cannot make the folder {SHIPPED}/"),
        ([str(SHIPPED), "--name", "../elsewhere"], "does not name a folder within --sweeps_dir"),
        (["no_such_sweep.yaml"], "no_such_sweep.yaml"),
        ([str(SHIPPED), "--options", "--a 'b"], '--options is "--a \'b" (No closing quotation)'),
    ],
)
def test_mistakes_are_named_and_leave_no_folder(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["sweep", *arguments])
    assert exit_.value.code != 0
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
