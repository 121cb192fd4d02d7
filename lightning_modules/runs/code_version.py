"""Which version of this program made a result."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "maestro-lightning"


def code_version(root: Path = Path(__file__).parents[2]) -> dict[str, str | bool]:
    """The package's version and, in a git checkout of it, the commit and whether files differ from it.

    Args:
        root: Folder of the project.
    """
    found: dict[str, str | bool] = {"version": _package_version()}
    top_level = _git(root, "rev-parse", "--show-toplevel")
    if top_level and Path(top_level) == root.resolve():  # and not somebody else's, around a site-packages
        found["commit"] = _git(root, "rev-parse", "HEAD") or "unknown"
        found["uncommitted_changes"] = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return found


def _package_version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str | None:
    """Output of git without the line's end; None if it fails, hangs or is not there."""
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
