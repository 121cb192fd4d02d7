"""What does not fit is named, with the command that mends it, before anything else is imported."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lightning_modules.cli import installation, main
from lightning_modules.cli.operations import OPERATIONS
from lightning_modules.errors import InstallationError

ROOT = Path(__file__).parents[3]


def test_the_pins_are_those_of_the_project() -> None:
    wanted = {each.name: each for each in installation.requirements()}
    assert str(wanted["torch"].specifier) == "==2.14.1"
    assert len(wanted) == len(installation.requirements()), "of lines with markers, the one for this Python"
    assert OPERATIONS.keys() - wanted.keys() == {"onnxruntime"}, "an operation for what is asked for"


def test_what_is_installed_here_fits() -> None:
    assert installation.misfits() == []
    installation.require_pair()
    installation.require_pair(is_sure=True)
    assert list(installation.failures()) == []


@pytest.fixture
def broken_torchaudio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchaudio that cannot be loaded and says another version, first on the path of new processes."""
    package = tmp_path / "planted" / "torchaudio"
    package.mkdir(parents=True)
    broken = "raise OSError('/x/libtorchaudio.so: undefined symbol: abc')"
    wrapped = f"try:\n    {broken}\nexcept OSError as error:\n    raise OSError('no library') from error\n"
    (package / "__init__.py").write_text(wrapped)
    info = package.parent / "torchaudio-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchaudio\nVersion: 9.8.7\n")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{ROOT}")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fit", "test", "generate", "compare"])
def test_a_broken_pair_is_one_sentence_at_the_start_of_a_verb(verb: str, broken_torchaudio: None) -> None:
    command = [sys.executable, "-m", "lightning_modules", verb, "whatever"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    versions = f"torch {metadata.version('torch')} with torchaudio 9.8.7"
    assert done.stderr.startswith(
        f"error: {versions}: this pair cannot be loaded (libtorchaudio.so: undefined symbol: abc)"
    )
    assert "run `pip install 'torch==" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_pair_ends_the_tests_in_one_sentence(broken_torchaudio: None) -> None:
    command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests/lightning_modules/test_vae.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "torchaudio 9.8.7: this pair cannot be loaded" in text
    assert "Traceback" not in text and len(text.splitlines()) < 6


def test_versions_as_asked_for_are_not_imported_for_help(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(installation, "import_module", refuse)
    installation.require_pair()
    other = [Requirement("torch==0.1"), Requirement("torchaudio==0.2")]
    monkeypatch.setattr(installation, "requirements", lambda: other)
    with pytest.raises(InstallationError, match=r"run `pip install 'torch==0.1' 'torchaudio==0.2'`"):
        installation.require_pair()


def test_doctor_names_the_pair(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = installation.import_module

    def break_it(name: str) -> object:
        if name == "torchaudio":
            raise OSError("/x/libtorchaudio.so: undefined symbol: abc")
        return real(name)

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(installation, "import_module", break_it)
    with pytest.raises(SystemExit):
        main(["doctor"])
    shown = capsys.readouterr().out
    assert shown.count("libtorchaudio.so: undefined symbol: abc") == 1, "told once"
    assert "Next: run `pip install 'torch==2.14.1' 'torchaudio==2.11.1'`" in shown
