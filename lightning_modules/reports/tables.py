"""Tables of a report: scores of one or several runs, differences of their configurations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning_modules.errors import RunError
from lightning_modules.reports.results import RunResults
from lightning_modules.reports.scores import Score
from lightning_modules.runs.config import parse_config

FLOOR = "floor"
LEAST_STEPS = 100
"""A run that was trained for fewer is marked as the best of nothing: it has hardly begun."""
BETTER = {"lower": "lower is better", "higher": "higher is better"}
HEADLINE = ("log_mel_distance", "multi_scale_spectral_distance", "si_sdr", "note_f_score")
"""The scores above all others, where a model has them."""
NUM_HEADLINES = 4
BAND = re.compile(r"_(\d+)_to_(\d+)_khz$")
PREFIXES = {"frechet_": "Fréchet distance, ", "mmd_": "Kernel distance (MMD), "}
SPELLINGS = {
    "si sdr": "SI-SDR",
    "log mel": "log-mel",
    "multi scale": "multi-scale",
    "f score": "F-score",
    "midi": "MIDI",
    "crepe": "CREPE",
    "clap": "CLAP",
    "transkun": "Transkun",
}
"""How people write what stands in names."""


@dataclass(frozen=True)
class ScoreCell:
    """A run's score; `is_best` if all others are worse beyond the intervals, `is_tied` if unsure."""

    score: Score | None
    is_best: bool = False
    is_tied: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """A score of all runs.

    Attributes:
        key: Name of the score, as in `scores.json`.
        name: Name of the score, for people.
        of: What was scored.
        unit: May be empty.
        better: In words; empty where neither is better.
        cells: One for each run.
        floor: Real clips against real clips, of the first run that has it.
    """

    key: str
    name: str
    of: str
    unit: str
    better: str
    cells: tuple[ScoreCell, ...]
    floor: Score | None


def score_rows(runs: Sequence[RunResults]) -> list[ScoreRow]:
    """The scores of all runs, in the order in which they are first met."""
    keys = dict.fromkeys((score.of, score.name) for run in runs for score in run.scores if score.of != FLOOR)
    return [_score_row(of, name, runs) for of, name in sorted(keys, key=lambda key: key[0])]


def _score_row(of: str, name: str, runs: Sequence[RunResults]) -> ScoreRow:
    found = [_find(run, of, name) for run in runs]
    first = next(score for score in found if score is not None)
    return ScoreRow(
        key=name,
        name=readable(name),
        of=of,
        unit=first.unit,
        better=BETTER.get(first.better, ""),
        cells=_cells(found, first.better, runs) if len(runs) > 1 else (ScoreCell(first),),
        floor=next((score for run in runs if (score := _find(run, FLOOR, name))), None),
    )


def headlines(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """The few scores to show first: those of `HEADLINE`, then others of the whole band, in their order."""
    whole_band = [row for row in rows if not BAND.search(row.key)]
    ranks = {key: rank for rank, key in enumerate(HEADLINE)}
    return sorted(whole_band, key=lambda row: ranks.get(row.key, len(ranks)))[:NUM_HEADLINES]


def readable(name: str) -> str:
    """Name of a score, for people: `frechet_log_mel` is "Fréchet distance, log-mel"."""
    words = BAND.sub(r", \1 to \2 kHz", name).replace("_", " ")
    for prefix, meaning in PREFIXES.items():
        if name.startswith(prefix):
            words = meaning + words[len(prefix) :]
    for plain, spelling in SPELLINGS.items():
        words = re.sub(rf"\b{plain}\b", spelling, words)
    return words[:1].upper() + words[1:]


def _find(run: RunResults, of: str, name: str) -> Score | None:
    return next((score for score in run.scores if (score.of, score.name) == (of, name)), None)


def _cells(scores: Sequence[Score | None], better: str, runs: Sequence[RunResults]) -> tuple[ScoreCell, ...]:
    """A mark needs a direction, a rival and intervals; the best also needs training."""
    rivals = [score for score in scores if score is not None and score.value is not None]
    if better not in BETTER or len(rivals) < 2:
        return tuple(ScoreCell(score) for score in scores)
    best = (min if better == "lower" else max)(rivals, key=lambda score: score.value or 0.0)
    close = [score for score in rivals if score is not best and _overlap(score, best)]
    is_sure = all(_has_interval(score) for score in rivals) and not close
    return tuple(
        ScoreCell(
            score,
            is_best=score is best and is_sure and run.listening.step >= LEAST_STEPS,
            is_tied=bool(close) and any(score is each for each in (best, *close)),
        )
        for score, run in zip(scores, runs, strict=True)
    )


def _has_interval(score: Score) -> bool:
    return score.low is not None and score.high is not None


def _overlap(one: Score, other: Score) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low <= other.high and other.low <= one.high


def config_differences(configs: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Options that are not the same in all configurations.

    Args:
        configs: YAML of each run; one that is empty is unknown.

    Returns:
        Dotted name of the option and its value in each run; an en dash where a run does not have it.
    """
    flat = [_flattened(_parsed(config)) for config in configs]
    names = dict.fromkeys(name for options in flat for name in options)
    rows = [(name, tuple(options.get(name, "\N{EN DASH}") for options in flat)) for name in names]
    return [row for row in rows if len(set(row[1])) > 1]


def _parsed(config: str) -> Any:  # noqa: ANN401 (any YAML)
    try:
        return parse_config(config, "config.yaml") if config.strip() else {}
    except RunError:
        return {"(unreadable)": config[:1000]}


def _flattened(value: Any, prefix: str = "") -> dict[str, str]:  # noqa: ANN401 (any YAML)
    if isinstance(value, dict) and value:
        children = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        children = [(_item_name(item, number), item) for number, item in enumerate(value)]
    else:
        return {prefix: str(value)}
    return {
        name: text
        for key, child in children
        for name, text in _flattened(child, f"{prefix}.{key}" if prefix else key).items()
    }


def _item_name(item: Any, number: int) -> str:  # noqa: ANN401 (any YAML)
    """Callbacks and the like go by their class, so that one more of them does not shift all others."""
    class_path = item.get("class_path") if isinstance(item, dict) else None
    return str(class_path).rpartition(".")[2] if class_path else str(number)
