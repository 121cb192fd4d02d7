"""A sweep run on this machine, one trial after another, that goes on after a kill."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_modules.errors import SweepError
from lightning_modules.runs.folder import free_path
from lightning_modules.sweeps.journal import FAILED, FINISHED, FORMAT, STOPPED, Journal, Trial
from lightning_modules.sweeps.search import SweepPlan, should_stop, suggest
from lightning_modules.sweeps.trial_process import (
    Exit,
    last_words,
    logged_names,
    metric_history,
    options_of_run,
    run_to_end,
    trial_command,
)

DEFAULT = 0
"""Number of the trial that leaves all options as they are."""


@dataclass
class LocalSweep:
    """A sweep in a folder of its own: `journal.jsonl`, `logs/` and a run folder for each trial.

    The commands of the trials must take `--runs_dir`, `--experiment` and `--run_id` as `lightning fit` does,
    and write `metrics/version_*/metrics.csv` into the run folder.

    Attributes:
        plan: The sweep.
        folder: Its folder; its parent and name are the `--runs_dir` and `--experiment` of the trials.
        options: More options for each trial.
        seed: Of the search.
        max_failures: So many trials that fail one after another end the sweep.
        say: Told of each trial that begins or ends.
    """

    plan: SweepPlan
    folder: Path
    options: Sequence[str] = ()
    seed: int = 0
    max_failures: int = 3
    say: Callable[[str], None] = print

    def run(self, count: int) -> list[Trial]:
        """Run the default and up to `count` trials that the search suggests, those done before included.

        Returns:
            All trials, by number.

        Raises:
            SweepError: If the folder holds another sweep or is in use, the default fails, or too many trials
                fail one after another.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                return self._run(count)
        except Timeout as error:
            raise SweepError(
                f"Another process is running the sweep in {self.folder}",
                "wait for it, or start a sweep of another --name",
            ) from error

    def _run(self, count: int) -> list[Trial]:
        journal = Journal(self.folder / "journal.jsonl")
        self._begin(journal)
        failures = 0
        for number in range(count + 1):
            trials = journal.trials()
            trial = trials.get(number)
            if trial is not None and trial.has_ended and not (number == DEFAULT and trial.state == FAILED):
                continue
            ended = [trials[known] for known in sorted(trials) if trials[known].has_ended]
            trial = self._next(number, trial, ended)
            if trial is None:
                self.say("The grid has been searched through.")
                break
            journal.started(trial)
            self._perform(trial, ended, count)
            journal.ended(trial)
            self.say(self._result(trial, count))
            failures = failures + 1 if trial.state == FAILED else 0
            self._check(trial, failures)
        return [trial for _, trial in sorted(journal.trials().items())]

    def _begin(self, journal: Journal) -> None:
        """Make sure that what is in the folder is this very sweep."""
        header = {"event": "sweep", "format": FORMAT, "config": self.plan.config, "options": [*self.options]}
        events = journal.events()
        if not events:
            journal.append(header)
        elif events[0] != header:
            differing = [name for name, value in header.items() if events[0].get(name) != value]
            raise SweepError(
                f"{journal.path} was begun with other content ({', '.join(differing)} of the sweep differ)",
                "give the new sweep another --name, or the options that this one was begun with",
            )

    def _next(self, number: int, cut_off: Trial | None, ended: Sequence[Trial]) -> Trial | None:
        """The trial to run: one that a kill cut off, again, or what the search suggests."""
        parameters = cut_off.parameters if cut_off else {}
        if cut_off is None and number != DEFAULT:
            suggestion = suggest(self.plan, ended, self.seed)
            if suggestion is None:
                return None
            parameters = suggestion
        name = "default" if number == DEFAULT else f"trial_{number:03d}"
        return Trial(number, parameters, free_path(self.folder / name).name)

    def _perform(self, trial: Trial, ended: Sequence[Trial], count: int) -> None:
        """Run the trial's process to its end, and note in `trial` how it went."""
        start = time.monotonic()
        folder = self.folder / trial.run_id
        log = self.folder / "logs" / f"{trial.run_id}.log"
        self.say(f"{self._title(trial, count)} … (output in {log})")

        def has_lost() -> bool:
            seen = metric_history(folder, self.plan.metric)
            if trial.number == DEFAULT or len(seen) == len(trial.history):
                return False
            trial.history = seen
            return should_stop(self.plan, ended, trial)

        end = run_to_end(self._command(trial), log, has_lost)
        trial.seconds = round(time.monotonic() - start, 1)
        trial.history = metric_history(folder, self.plan.metric)
        self._judge(trial, end, log)
        if trial.number == DEFAULT:
            trial.parameters = options_of_run(folder, self.plan.parameters)

    def _command(self, trial: Trial) -> list[str]:
        own_folder = [f"--runs_dir={self.folder.parent}", f"--experiment={self.folder.name}"]
        parameters = {} if trial.number == DEFAULT else trial.parameters
        own_folder.append(f"--run_id={trial.run_id}")
        return trial_command(self.plan.config["command"], parameters, [*self.options, *own_folder])

    def _judge(self, trial: Trial, end: Exit, log: Path) -> None:
        trial.value = self.plan.best(trial.history)
        if end.was_stopped:
            trial.state, trial.reason = STOPPED, f"Hyperband, after {len(trial.history)} validations"
        elif end.code != 0:
            trial.state, trial.reason = FAILED, f"exit status {end.code}: {last_words(log)}"
        elif trial.value is None:
            logged = ", ".join(logged_names(self.folder / trial.run_id)) or "nothing"
            seen = f"is {trial.history[-1]}" if trial.history else f"was never logged (logged: {logged})"
            trial.state, trial.reason = FAILED, f"{self.plan.metric} {seen}"
        else:
            trial.state = FINISHED
        if trial.state == FAILED:
            trial.value = None

    def _check(self, trial: Trial, failures: int) -> None:
        """End the sweep where it makes no sense to go on."""
        if trial.state != FAILED or (trial.number != DEFAULT and failures < self.max_failures):
            return
        what = "The default config" if trial.number == DEFAULT else f"{failures} trials in a row"
        raise SweepError(
            f"{what} failed, the last with: {trial.reason}",
            f"read {self.folder / 'logs' / trial.run_id}.log, mend it and start the same sweep again: "
            "what is finished is kept",
        )

    def _title(self, trial: Trial, count: int) -> str:
        if trial.number == DEFAULT:
            return "default"
        options = "  ".join(f"{short_name(name)}={_shown(v)}" for name, v in trial.parameters.items())
        return f"trial {trial.number} of {count}: {options}"

    def _result(self, trial: Trial, count: int) -> str:
        title = "default" if trial.number == DEFAULT else f"trial {trial.number} of {count}"
        figure = "" if trial.value is None else f" {self.plan.metric} {trial.value:.4g}"
        reason = f" ({trial.reason})" if trial.reason else ""
        return f"{title}: {trial.state}{figure}{reason}, {trial.seconds:.0f} s"


def short_name(name: str) -> str:
    """An option's name without what most share: `optimizer.lr` for `model.optimizer.init_args.lr`."""
    parts = [part for part in name.split(".") if part != "init_args"]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in ("model", "data", "trainer") else parts)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
