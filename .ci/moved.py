"""Prints which packages pip would install today in other versions than .ci/constraints.txt.

usage: python .ci/moved.py REPORT.json     a report of `pip install --dry-run --report`
"""

import json
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def locked(text: str) -> dict[str, str]:
    """Versions of a constraints file that hold on this machine, by canonical name."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    wanted = [Requirement(line) for line in lines]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in here}


def newest(report: str) -> dict[str, str]:
    """Versions that pip chose, by canonical name; without the project itself."""
    found = [each["metadata"] for each in json.loads(report)["install"]]
    return {canonicalize_name(each["name"]): each["version"] for each in found}


def moved(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """One line for each package of `now` whose version is another, or that is new."""
    return [
        f"{name}: {before.get(name, 'absent')} -> {version}"
        for name, version in sorted(now.items())
        if before.get(name) != version and name != "maestro-lightning"
    ]


if __name__ == "__main__":
    constraints = Path(__file__).with_name("constraints.txt").read_text()
    print("\n".join(moved(locked(constraints), newest(Path(sys.argv[1]).read_text()))))
