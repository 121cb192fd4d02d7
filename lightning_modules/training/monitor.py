"""Whether anything can give the figure that the best checkpoint is chosen by, before a step is taken."""

import difflib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

OWN_PACKAGE = __name__.partition(".")[0]
LIBRARIES = frozenset({"lightning", "torch"})
"""Whose callbacks log no figures of a validation."""
_WORD = re.compile(r"[A-Za-z]\w+")


def doubt_of_monitor(monitor: str, parts: Iterable[object], options: str) -> str | None:
    """Words of doubt about a name that stands nowhere in the program that is about to run.

    What a validation gives is known for certain only after the first one, which may be an hour away. Until
    then a name is believed if its last part stands, whole or in two, in the source of this package, of the
    packages of the model and its callbacks, or in the options.

    Args:
        monitor: E.g. `val/log_mel_distance`.
        parts: The model and the callbacks.
        options: The options as text.

    Returns:
        A sentence, or None.
    """
    figure = monitor.rpartition("/")[2]
    words = set(_WORD.findall(options.replace(monitor, "")))
    packages = {type(part).__module__.partition(".")[0] for part in parts} - LIBRARIES
    for source in _sources({OWN_PACKAGE} | packages):
        words.update(_WORD.findall(source))
    places = [place for place, character in enumerate(figure) if character == "_"]
    halves = [({figure[: place + 1], figure[:place]}, figure[place + 1 :]) for place in places]
    if figure in words or any(first & words and second in words for first, second in halves):
        return None
    near = difflib.get_close_matches(figure, words, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"checkpoint.monitor is {monitor!r}, and nothing that runs here speaks of {figure!r}{hint}"


def _sources(packages: set[str]) -> Iterable[str]:
    """Text of the imported modules of packages."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.partition(".")[0] in packages and path and path.endswith(".py"):
            try:
                yield Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
