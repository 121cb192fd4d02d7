"""Which code made a result."""

import subprocess
from pathlib import Path

from lightning_modules.runs.code_version import code_version


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_commit_of_a_checkout_and_whether_it_is_changed(tmp_path: Path) -> None:
    assert code_version(tmp_path).keys() == {"version"}, "no checkout"
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "first")
    clean = code_version(tmp_path)
    assert (clean["commit"], clean["uncommitted_changes"]) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "a.py").write_text("2")
    assert code_version(tmp_path)["uncommitted_changes"] is True
    inner = tmp_path / "venv"
    inner.mkdir()
    assert code_version(inner).keys() == {"version"}, "an installed copy inside somebody else's checkout"
