"""The page that others see of a model: what it is, what it was trained on, how good it is, how to use it."""

from collections.abc import Mapping, Sequence
from typing import Any

MAESTRO_LICENCE = "cc-by-nc-sa-4.0"
_OF_MAESTRO = (
    "Trained on recordings of [MAESTRO](https://magenta.tensorflow.org/datasets/maestro), which are under "
    "CC BY-NC-SA 4.0: so are the weights, for non-commercial use with attribution."
)
_OF_MINI = "Trained on the embedded miniature: public-domain music on a synthetic piano, no part of MAESTRO."
_OF_OWN = "Trained on recordings that do not come with this program; ask whoever made the model about rights."


def model_card(
    name: str, content: Mapping[str, Any], step: int | None, scores: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Markdown with the Hub's header.

    Args:
        name: Of the repository, `user/name`.
        content: What a checkpoint says of itself; see `describe_module`.
        step: Optimiser steps of the training.
        scores: Of the test split, as in `scores.json`: each with `name`, `of`, `value` and `unit`.
    """
    data = content.get("data") or {}
    release = str(data.get("release", "unknown"))
    is_maestro = release.startswith("v")
    header = ["library_name: maestro-lightning", "tags: [audio, piano, music-generation]"]
    header += [f"license: {MAESTRO_LICENCE}"] if is_maestro else []
    kind = content["module"]["class_path"].rpartition(".")[2]
    about = _OF_MAESTRO if is_maestro else _OF_MINI if release == "mini" else _OF_OWN
    counts = [
        f"{count} for {split}"
        for split in ("train", "validation", "test")
        if (count := data.get(f"{split}_performances"))
    ]
    recordings = f" Recordings: {', '.join(counts)}." if counts else ""
    lines = [
        "---",
        *header,
        "---",
        f"# {name}",
        "",
        f"{kind}: {content['sample_rate']:,} Hz, {content['channels']} channel(s), "
        f"{'an unknown number of' if step is None else f'{step:,}'} steps.",
        "",
        f"## Data\n\n{about}{recordings}",
        "",
        *_table(scores),
        "## Use",
        "",
        "```python",
        "from lightning_modules.base import GenerativeModule",
        "",
        f'model = GenerativeModule.from_pretrained("{name}")',
        "```",
        "",
    ]
    return "\n".join(lines)


def _table(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {each['name']} | {each['of']} | {each['value']:.4g} {each.get('unit') or ''} |"
        for each in scores
        if isinstance(each.get("value"), int | float)
    ]
    return (
        ["## Scores of the test split", "", "| score | of | value |", "|---|---|---|", *rows, ""]
        if rows
        else []
    )
