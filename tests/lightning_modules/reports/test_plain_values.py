"""Records of JSON values have the types that they say, or the file is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from lightning_modules.errors import ReportError
from lightning_modules.reports.plain_values import read_json, record

PATH = Path("some.json")


class Point(NamedTuple):
    x: float
    y: int


@dataclass(frozen=True)
class Shape:
    name: str
    kind: Literal["open", "closed"]
    points: tuple[Point, ...]
    centre: Point | None
    more: dict[str, Any]


GOOD = {
    "name": "a",
    "kind": "open",
    "points": [[1, 2], {"x": 0.5, "y": 3}],
    "centre": None,
    "more": {"b": []},
}


def test_a_record_is_made_of_its_values() -> None:
    made = record(Shape, GOOD, PATH)
    assert made == Shape("a", "open", (Point(1.0, 2), Point(0.5, 3)), None, {"b": []})
    assert isinstance(made.points[0].x, float)
    assert record(Shape, {**GOOD, "centre": [0, 1]}, PATH).centre == Point(0.0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "Shape.name is '1'"),
        ({"kind": "round"}, "Shape.kind is 'round'"),
        ({"kind": ["open"]}, "Shape.kind"),
        ({"points": [[1, 2.5]]}, r"Shape.points\[0\].y is '2.5'"),
        ({"points": [[1, 2, 3]]}, "argument"),
        ({"points": {"x": 1}}, "Shape.points"),
        ({"points": [[float("nan"), 2]]}, r"points\[0\].x is 'nan'"),
        ({"points": [[True, 2]]}, r"points\[0\].x is 'True'"),
        ({"points": [[10**400, 2]]}, "too large"),
        ({"more": []}, "Shape.more"),
        ({"other": 1}, "other"),
    ],
)
def test_other_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ReportError, match=f"some.json is damaged .*{message}"):
        record(Shape, {**GOOD, **change}, PATH)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ReportError, match="is not JSON"):
        read_json(path)
    with pytest.raises(ReportError, match="cannot be read"):
        read_json(tmp_path)
