"""Findings of the health callback: `health.json` in the folder of a run or test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datamodules.files import whole_file
from lightning_modules.errors import ReportError
from lightning_modules.reports.plain_values import read_json, record
from lightning_modules.reports.scores import Score

FILE_NAME = "health.json"
NOTES, DISTANCE = "notes_per_second", "frechet_"
"""Names of scores, or their beginnings, that samples are judged by."""
LEAST_NOTES = 0.1
"""Share of the notes of real clips. Noise that is shaped like piano has none."""
UNLIKE_FACTOR = 10.0
"""How much farther from recordings than recordings are from each other."""
ADVICE = (
    "Train for longer; draw the samples of a VAE from a density (`lightning fit_density`, then --density); "
    "or use a model that plays notes."
)


class Finding(NamedTuple):
    """Something that went wrong in training or test.

    Attributes:
        step: Global step.
        problem: Name, e.g. `silence`.
        message: The symptom, as a plain sentence.
        advice: What to try.
    """

    step: int
    problem: str
    message: str
    advice: str


def judge_samples(scores: Sequence[Score], step: int) -> list[Finding]:
    """What the scores of a test say of its samples, beside what real clips score in their place.

    Args:
        scores: Of the test.
        step: Training steps of the model.
    """
    by_key = {(score.of, score.name): score for score in scores if score.value is not None}
    pairs = [
        (score, by_key["floor", name])
        for (of, name), score in by_key.items()
        if of == "samples" and ("floor", name) in by_key
    ]
    found = [_few_notes(step, *pair) for pair in pairs if pair[0].name == NOTES]
    found += [_unlike(step, *pair) for pair in pairs if pair[0].name.startswith(DISTANCE)]
    return [finding for finding in found if finding is not None][:1]


def _few_notes(step: int, made: Score, real: Score) -> Finding | None:
    assert made.value is not None and real.value is not None
    if made.value >= LEAST_NOTES * real.value:
        return None
    heard = f"{made.value:.2g} notes per second in the samples, and {real.value:.2g} in real clips"
    return Finding(step, "no_notes", f"The samples are hardly music: a transcriber hears {heard}.", ADVICE)


def _unlike(step: int, made: Score, real: Score) -> Finding | None:
    nearest = made.value if made.low is None else made.low
    farthest = real.value if real.high is None else real.high
    assert nearest is not None and farthest is not None
    if nearest <= UNLIKE_FACTOR * max(farthest, 0.0):
        return None
    distance = f"{made.value:,.3g} from real clips, which are {real.value:,.3g} from each other"
    message = f"The samples do not sound like recordings: their {made.name} is {distance}."
    return Finding(step, "unlike_recordings", message, ADVICE)


def read_findings(path: Path) -> list[Finding]:
    """The findings in a file.

    Raises:
        ReportError: If it is missing or damaged.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ReportError(f"{path} is damaged: it is no list", "remove it, or run the test again")
    return [record(Finding, row, path) for row in rows]


def append_findings(path: Path, findings: Sequence[Finding]) -> list[Finding]:
    """Add to a file, which is made if missing, as a whole or not at all; returns all that it holds then.

    Raises:
        ReportError: If it is damaged.
    """
    together = [*(read_findings(path) if path.is_file() else ()), *findings]
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(json.dumps([finding._asdict() for finding in together], indent=1), encoding="utf-8")
    return together
