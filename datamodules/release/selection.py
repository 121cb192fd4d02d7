"""How much of a release to use."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.errors import OptionError
from datamodules.options import at_least, one_of, positive
from datamodules.release.catalogue import Performance
from datamodules.releases import SPLITS


@dataclass(frozen=True)
class Selection:
    """How much of a release to use. What is None does not restrict.

    Attributes:
        max_hours: Total duration in hours, shared among the splits in proportion to their durations.
        max_performances: Total number of performances, shared in proportion to their numbers.
        years: Years to keep.
        composers: Composers to keep, spelt as in the release.
        splits: Splits to keep: "train", "validation", "test".

    Raises:
        OptionError: If a limit is not above 0, or there is no such split.
    """

    max_hours: float | None = None
    max_performances: int | None = None
    years: tuple[int, ...] | None = None
    composers: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None

    @classmethod
    def of_options(
        cls,
        max_hours: float | None,
        max_performances: int | None,
        years: list[int] | None,
        composers: list[str] | None,
        splits: list[str] | None,
    ) -> "Selection":
        """From the options of a data module, whose choices are lists."""
        return cls(
            max_hours,
            max_performances,
            None if years is None else tuple(years),
            None if composers is None else tuple(composers),
            None if splits is None else tuple(splits),
        )

    def __post_init__(self) -> None:
        if self.max_hours is not None:
            positive("max_hours", self.max_hours, 1e6, "hours")
        if self.max_performances is not None:
            at_least("max_performances", self.max_performances, 1, "performances")
        for split in self.splits or ():
            one_of("splits", split, SPLITS)

    def apply(self, performances: Sequence[Performance]) -> tuple[Performance, ...]:
        """Choose performances; the order stays that of the release.

        Limits take performances in an order fixed by a hash of their names, so that a small subset is no
        run of one composer, and a larger limit only ever adds to a smaller one. Every split that has
        performances keeps at least one.

        Raises:
            OptionError: If nothing is left.
        """
        chosen = [p for p in performances if self._matches(p)]
        if not chosen:
            raise OptionError(
                f"years={self.years}, composers={self.composers}, splits={self.splits} match no performance",
                f"the release has {_describe_choices(performances)}",
            )
        kept = {
            p.audio for split in SPLITS for p in self._limit([c for c in chosen if c.split == split], chosen)
        }
        return tuple(p for p in chosen if p.audio in kept)

    def _matches(self, performance: Performance) -> bool:
        in_years = self.years is None or performance.year in self.years
        in_splits = self.splits is None or performance.split in self.splits
        return in_years and in_splits and (self.composers is None or performance.composer in self.composers)

    def _limit(self, members: list[Performance], chosen: list[Performance]) -> list[Performance]:
        """The share of one split."""
        hours = sum(p.duration for p in chosen) / 3600
        seconds_left = math.inf
        if self.max_hours is not None:
            seconds_left = min(self.max_hours / hours, 1.0) * sum(p.duration for p in members)
        count_left = len(members)
        if self.max_performances is not None:
            count_left = round(min(self.max_performances / len(chosen), 1.0) * len(members))
        kept: list[Performance] = []
        for performance in sorted(members, key=_stable_order):
            fits = performance.duration <= seconds_left + 1e-6 and len(kept) < count_left
            if kept and not fits:
                break
            kept.append(performance)
            seconds_left -= performance.duration
        return kept


def _stable_order(performance: Performance) -> bytes:
    return hashlib.sha256(performance.audio.encode(errors="surrogateescape")).digest()


def _describe_choices(performances: Sequence[Performance]) -> str:
    years = sorted({p.year for p in performances})
    composers = [name for name, _ in Counter(p.composer for p in performances).most_common(8)]
    return f"the years {', '.join(map(str, years))} and, among others, the composers {', '.join(composers)}"
