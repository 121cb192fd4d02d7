"""The page that others see of a model: what it is, what it was trained on, how good it is, how to use it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MAESTRO_LICENCE = "cc-by-nc-sa-4.0"
_OF_MAESTRO = (
    "Trained on recordings of [MAESTRO](https://magenta.tensorflow.org/datasets/maestro) {release}, which "
    "are under CC BY-NC-SA 4.0: so are the weights, for non-commercial use with attribution."
)
_OF_MINI = "Trained on the embedded miniature: public-domain music on a synthetic piano, no part of MAESTRO."
_OF_OWN = "Trained on recordings that do not come with this program; ask whoever made the model about rights."
_SPLITS = {"train": "to train on", "validation": "to validate with", "test": "to test with"}
_CHANNELS = {1: "mono", 2: "stereo"}
_SUBJECTS = {"reconstructions": "reconstructions", "samples": "samples", "floor": "real clips"}
_ARROWS = {"lower": " ↓", "higher": " ↑"}
_RELEASE = re.compile(r"v\d+\.\d+\.\d+")
_MARKUP = re.compile(r"[^\w .,:/%()²-]")
"""What a name or a unit has no need of, and Markdown or HTML a meaning for."""
_LEGEND = (
    "↓ lower is better, ↑ higher is better; ± half the width of the 95% interval; real clips: real audio in "
    "the place of the model's."
)


def model_card(
    name: str,
    content: Mapping[str, Any],
    step: int | None,
    scores: Sequence[Mapping[str, Any]] = (),
    commands: Sequence[str] = (),
) -> str:
    """Markdown with the Hub's header.

    Args:
        name: Of the repository, `user/name`, or of a folder.
        content: What a checkpoint says of itself; see `describe_module`.
        step: Optimiser steps of the training.
        scores: Of the test split, as in `scores.json`: each with `name`, `of`, `value`, and where known
            `low`, `high`, `unit` and `better`.
        commands: What the command line does with such a model, with `{}` for its folder.
    """
    data = content.get("data") or {}
    release = str(data.get("release", "unknown"))
    is_maestro = _RELEASE.fullmatch(release) is not None
    header = ["library_name: maestro-lightning", "tags: [audio, piano, music-generation]"]
    header += [f"license: {MAESTRO_LICENCE}"] if is_maestro else []
    kind = content["module"]["class_path"].rpartition(".")[2]
    channels = _CHANNELS.get(content["channels"], f"{content['channels']} channels")
    trained = f", trained for {step:,} steps" if step is not None else ""
    about = _OF_MAESTRO.format(release=release) if is_maestro else _OF_MINI if release == "mini" else _OF_OWN
    lines = [
        "---",
        *header,
        "---",
        f"# {name}",
        "",
        f"A model of piano sound: {kind}, {channels} at {content['sample_rate']:,} Hz{trained}.",
        "",
        *_use(name, commands),
        f"## Data\n\n{about}{_recordings(data)}",
        "",
        *_table(scores),
    ]
    return "\n".join(lines)


def _use(name: str, commands: Sequence[str]) -> list[str]:
    folder = name.rpartition("/")[2]
    shell = [f"lightning {command.format(folder)}" for command in commands]
    if shell and folder != name:
        shell = [f"hf download {name} --local-dir {folder}", *shell]
    return [
        "## Use",
        "",
        "With the package `maestro-lightning`:",
        "",
        "```python",
        "from lightning_modules.base import GenerativeModule",
        "",
        f'model = GenerativeModule.from_pretrained("{name}")',
        "```",
        "",
        *(["```sh", *shell, "```", ""] if shell else []),
    ]


def _recordings(data: Mapping[str, Any]) -> str:
    counts = [
        f"{count:,} {what}"
        for split, what in _SPLITS.items()
        if isinstance(count := data.get(f"{split}_performances"), int) and count
    ]
    return f" Recordings: {', '.join(counts)}." if counts else ""


def _table(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each score, a column for each of what is judged."""
    scores = [{**each, "name": _MARKUP.sub("_", each["name"])} for each in scores]
    cells = {(each["name"], each["of"]): text for each in scores if (text := _cell(each))}
    arrows = {each["name"]: _ARROWS.get(each.get("better", ""), "") for each in scores}
    subjects = [of for of in _SUBJECTS if any(of == each for _, each in cells)]
    if not cells:
        return []
    rows = [["score", *(_SUBJECTS[of] for of in subjects)], ["---"] * (len(subjects) + 1)]
    for name in dict.fromkeys(name for name, _ in cells):
        rows.append([f"`{name}`{arrows[name]}", *(cells.get((name, of), "") for of in subjects)])
    return ["## Scores of the test split", "", *(f"| {' | '.join(row)} |" for row in rows), "", _LEGEND, ""]


def _cell(score: Mapping[str, Any]) -> str:
    """A figure with its interval and unit; empty for none."""
    value, low, high = (score.get(key) for key in ("value", "low", "high"))
    if not isinstance(value, int | float):
        return ""
    interval = f" ± {(high - low) / 2:.2g}" if low is not None and high is not None else ""
    return f"{value:.4g}{interval} {_MARKUP.sub('_', score.get('unit') or '')}".rstrip()
