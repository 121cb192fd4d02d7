"""Prints which packages have other versions in one list of pins than in .ci/constraints.txt.

usage: python .ci/moved.py PINS.txt     as `uv pip compile` writes it
"""

import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins(path: Path) -> dict[str, str]:
    """Versions of a list that hold on this machine, by canonical name."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    wanted = [Requirement(line) for line in lines]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in here}


def moved(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """One line for each package of `now` whose version is another, or that is new."""
    return [
        f"{name}: {before.get(name, 'absent')} -> {version}"
        for name, version in sorted(now.items())
        if before.get(name) != version
    ]


if __name__ == "__main__":
    print("\n".join(moved(pins(Path(__file__).with_name("constraints.txt")), pins(Path(sys.argv[1])))))
