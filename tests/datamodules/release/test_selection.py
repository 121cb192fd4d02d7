from itertools import pairwise

import pytest

from datamodules.errors import OptionError
from datamodules.release.catalogue import Performance
from datamodules.release.selection import Selection


def many_performances() -> list[Performance]:
    """80 for training, 10 for validation, 10 for test, of 0.1 h each."""
    splits = ["train"] * 80 + ["validation"] * 10 + ["test"] * 10
    return [
        Performance(f"composer {i % 4}", f"title {i}", split, 2004 + i % 2, f"{i}.midi", f"{i}.wav", 360.0)
        for i, split in enumerate(splits)
    ]


def test_no_selection_keeps_all() -> None:
    performances = many_performances()
    assert Selection().apply(performances) == tuple(performances)
    assert Selection(max_hours=100, max_performances=1000).apply(performances) == tuple(performances)


@pytest.mark.parametrize("selection", [Selection(max_hours=2.0), Selection(max_performances=20)])
def test_limits_are_shared_among_splits(selection: Selection) -> None:
    chosen = selection.apply(many_performances())
    assert [sum(p.split == s for p in chosen) for s in ("train", "validation", "test")] == [16, 2, 2]
    assert len({p.composer for p in chosen}) == 4


def test_a_larger_limit_only_adds() -> None:
    performances = many_performances()
    sizes = [Selection(max_hours=h).apply(performances) for h in (0.01, 0.5, 2, 5, 9.9)]
    assert len(sizes[0]) == 3  # one of each split, whatever the limit
    assert all(set(a) < set(b) for a, b in pairwise(sizes))
    assert [p.audio for p in sizes[2]] == sorted((p.audio for p in sizes[2]), key=lambda a: int(a[:-4]))


def test_years_and_composers() -> None:
    chosen = Selection(years=(2005,), composers=("composer 1", "composer 2")).apply(many_performances())
    assert {(p.year, p.composer) for p in chosen} == {(2005, "composer 1")}
    with pytest.raises(
        OptionError, match=r"years=\(1999,\).*match no performance\n.*years 2004, 2005 and.*composer 0"
    ):
        Selection(years=(1999,)).apply(many_performances())


def test_splits() -> None:
    chosen = Selection(max_performances=5, splits=("test",)).apply(many_performances())
    assert [p.split for p in chosen] == ["test"] * 5
    with pytest.raises(OptionError, match=r"splits='dev' is not supported\n.*train, validation, test"):
        Selection(splits=("dev",))
    train = [p for p in many_performances() if p.split == "train"]
    with pytest.raises(OptionError, match=r"splits=\('test',\) match no performance"):
        Selection(splits=("test",)).apply(train)
