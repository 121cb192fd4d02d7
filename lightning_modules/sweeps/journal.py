"""What happened in a sweep, line by line, so that a kill loses nothing that was finished."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


@dataclass
class Trial:
    """One run of a sweep.

    Attributes:
        number: 0 is the run with the default options.
        parameters: Options that the search chose, by name; for trial 0 what its options are by default.
        run_id: Name of its run folder.
        state: `running` (or cut off by a kill), `finished`, `stopped` (by early termination) or `failed`.
        history: The metric at each validation.
        value: The best of them; None if the trial failed.
        seconds: How long it took.
        reason: Why it failed or was stopped.
    """

    number: int
    parameters: dict[str, Any]
    run_id: str
    state: str = RUNNING
    history: list[float] = field(default_factory=list)
    value: float | None = None
    seconds: float = 0.0
    reason: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it need not be run again."""
        return self.state != RUNNING


class Journal:
    """A file of JSON lines, each on the disk before the sweep goes on.

    A line that a kill cut off is dropped.

    Args:
        path: The file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self) -> list[dict[str, Any]]:
        """All that was written, in order."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self._whole_lines().splitlines()]

    def append(self, event: dict[str, Any]) -> None:
        """Add a line, and return when it is on the disk."""
        is_new = not self.path.exists()
        if not is_new and len(whole := self._whole_lines()) < self.path.stat().st_size:
            os.truncate(self.path, len(whole))
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.path.parent)

    def trials(self) -> dict[int, Trial]:
        """The trials by number, as the last event left them."""
        return replay(self.events())

    def started(self, trial: Trial) -> None:
        """Note that a trial begins."""
        self.append(
            {
                "event": "start",
                "trial": trial.number,
                "run_id": trial.run_id,
                "parameters": trial.parameters,
            }
        )

    def ended(self, trial: Trial) -> None:
        """Note how a trial ended."""
        event = {"event": "end", "trial": trial.number}
        names = ("state", "parameters", "history", "value", "seconds", "reason")
        self.append(event | {name: getattr(trial, name) for name in names})

    def _whole_lines(self) -> bytes:
        content = self.path.read_bytes()
        return content[: content.rfind(b"\n") + 1]


def replay(events: Iterable[dict[str, Any]]) -> dict[int, Trial]:
    """The trials that a journal tells of, by number."""
    trials: dict[int, Trial] = {}
    for event in events:
        values = {name: value for name, value in event.items() if name not in ("event", "trial")}
        if event["event"] == "start":
            trials[event["trial"]] = Trial(event["trial"], **values)
        elif event["event"] == "end":
            for name, value in values.items():
                setattr(trials[event["trial"]], name, value)
    return trials


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last, which fsync of the file alone does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
