"""Fixtures of the embedded release: the whole of it once per session, and a score of two seconds."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from datamodules.mini import render_mini
from datamodules.mini.score import Score


@pytest.fixture(scope="session")
def mini_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded release, rendered with one worker."""
    return render_mini(tmp_path_factory.mktemp("mini"), workers=1, progress=False)


def toy_score(**changes: object) -> Score:
    """Two bars for two voices; any field can be changed."""
    score = Score(
        composer="Zoë Quick",
        title="Étude, in C",
        split="train",
        year=2004,
        sample_rate=44_100,
        meter=Fraction(1, 2),
        quarters_per_minute=120.0,
        voices=("c5/8 d5 e5/4 | c5/2", "c3+e3/4 g2 | c3/2"),
        dynamics=((0, "p"), (2, "f")),
    )
    return score._replace(**changes)


@pytest.fixture
def quick_scores(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Score, ...]]:
    """Make the release hold two toy pieces, so that rendering it takes a fraction of a second."""
    scores = (toy_score(), toy_score(title="Minuet", split="test", year=2008, sample_rate=48_000))
    monkeypatch.setattr("datamodules.mini.release.SCORES", scores)
    yield scores
