"""`lightning doctor`: one screen, or JSON, that ends with what to do."""

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lightning_modules.cli import installation, main


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and packages as pinned whatever is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAESTRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(installation, "requirements", lambda: [Requirement("pytest>=1")])


def test_one_screen_that_ends_with_a_command(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and all(len(line) <= 80 for line in lines)
    assert lines[-1] == "Next: lightning fit --config experiments/vae.yaml"
    assert not Path("runs").exists(), "it only looks"


def test_a_package_that_does_not_fit_its_pin_is_an_error(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [Requirement(line) for line in ("pytest<1", "no-such-package>=2", "jsonargparse>=4")]
    monkeypatch.setattr(installation, "requirements", lambda: wanted)
    with pytest.raises(SystemExit) as status:
        main(["doctor", "--json"])
    assert status.value.code == 1
    report = json.loads(capsys.readouterr().out)
    errors = {each["name"]: each for each in report["findings"] if each["level"] == "error"}
    version = pytest.__version__
    assert errors["packages"]["value"] == f"pytest is {version}, needed is <1; no-such-package is missing"
    assert errors["operations"]["value"].startswith("no-such-package 0 does not work (No module named")
    assert report["next"].startswith("run `pip install -e .`")
