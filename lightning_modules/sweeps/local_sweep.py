"""A sweep run on this machine, one trial after another, that goes on after a kill."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial

from datamodules.files import HeldError, lock_file
from lightning_modules.errors import SweepError
from lightning_modules.runs.folder import free_path
from lightning_modules.sweeps import search
from lightning_modules.sweeps.sweep_file import SweepPlan
from lightning_modules.sweeps.trial_process import (
    Exit,
    last_words,
    logged_names,
    metric_history,
    options_of_run,
    run_to_end,
    trial_command,
)


@dataclass
class LocalSweep:
    """A sweep in a folder of its own: `journal.log`, `logs/` and a run folder for each trial.

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

    def run(self, count: int) -> optuna.Study:
        """Run the default and up to `count` trials that the search suggests, those done before included.

        Returns:
            All trials; those that `search.ended_trials` gives have run to an end.

        Raises:
            SweepError: If the folder holds another sweep, a damaged one, or is in use, the default fails, or
                too many trials fail one after another.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SweepError(
                f"Cannot make the folder {self.folder} ({error.strerror})",
                "give another --sweeps_dir, where you may write",
            ) from error
        try:
            with lock_file(self.folder / ".lock"):
                study = search.open_study(self.plan, self.folder / "journal.log")
                self._begin(study)
                self._run(study, count)
                return study
        except HeldError as error:
            raise SweepError(
                f"The sweep in {self.folder} is being run by {error.holder or 'another process'}",
                "wait for it, or start a sweep of another --name",
            ) from error
        except OSError as error:  # of a full disk, or of links, pipes and folders in the place of files
            raise SweepError(
                f"The sweep cannot be kept in {self.folder} ({error.strerror or error}"
                f"{f': {error.filename}' if error.filename else ''})",
                "give another --sweeps_dir or --name; what is finished is kept",
            ) from error

    def _begin(self, study: optuna.Study) -> None:
        """Make sure that what is in the folder is this very sweep, and has its default trial."""
        identity = {"config": self.plan.config, "options": [*self.options]}
        known = study.user_attrs
        if differing := [name for name, value in identity.items() if known.get(name, value) != value]:
            raise SweepError(
                f"{self.folder} was begun with other content ({', '.join(differing)} of the sweep differ)",
                "give the new sweep another --name, or the options that this one was begun with",
            )
        for name in identity.keys() - known.keys():
            study.set_user_attr(name, identity[name])
        search.check_trials(self.plan, study, self.folder / "journal.log")
        search.repeat_cut_off(study)
        if not study.trials:
            self._run_default(study)

    def _run_default(self, study: optuna.Study) -> None:
        """Train with the default options, and make them the first trial, from which the search learns."""
        run_id = free_path(self.folder / "default").name
        end, seconds = self._perform("default", run_id, {}, lambda: False)
        values = metric_history(self.folder / run_id, self.plan.metric)
        outcome = self._outcome(run_id, values, end, seconds)
        self.say(f"default: {self._shown(outcome)}")
        if outcome["state"] == "FAIL":
            self._give_up("The default config", outcome)
        options = options_of_run(self.folder / run_id, [*self.plan.space])
        study.add_trial(search.finished_default(self.plan, options, values, outcome))

    def _run(self, study: optuna.Study, count: int) -> None:
        pruner = search.make_pruner(self.plan)
        failures = 0
        while (done := len(search.ended_trials(study)) - 1) < count:
            trial = search.ask(self.plan, study, self.seed)
            if trial is None:
                self.say("The grid has been searched through.")
                return
            title = f"trial {trial.number} ({done + 1} of {count})"
            outcome = self._run_trial(study, trial, title, pruner)
            search.finish(study, trial, outcome)
            self.say(f"{title}: {self._shown(outcome)}")
            failures = failures + 1 if outcome["state"] == "FAIL" else 0
            if failures >= self.max_failures:
                self._give_up(f"{failures} trials in a row", outcome)

    def _run_trial(
        self, study: optuna.Study, trial: Trial, title: str, pruner: optuna.pruners.BasePruner
    ) -> dict[str, Any]:
        run_id = free_path(self.folder / f"trial_{trial.number:03d}").name

        def has_lost() -> bool:
            values = metric_history(self.folder / run_id, self.plan.metric)
            return search.report(study, trial, values, pruner)

        options = "  ".join(f"{short_name(name)}={_shown(v)}" for name, v in trial.params.items())
        end, seconds = self._perform(f"{title}: {options}", run_id, trial.params, has_lost)
        has_lost()  # what came after the last look
        values = metric_history(self.folder / run_id, self.plan.metric)
        return self._outcome(run_id, values, end, seconds)

    def _perform(
        self, title: str, run_id: str, parameters: Mapping[str, Any], has_lost: Callable[[], bool]
    ) -> tuple[Exit, float]:
        """Run a trial's process to its end: how it ended, and how many seconds it took."""
        log = self._log(run_id)
        self.say(f"{title} … (output in {log})")
        place = [f"--runs_dir={self.folder.parent}", f"--experiment={self.folder.name}", f"--run_id={run_id}"]
        given = {**self.plan.constants, **parameters}
        command = trial_command(self.plan.config["command"], given, [*self.options, *place])
        start = time.monotonic()
        end = run_to_end(command, log, has_lost)
        return end, round(time.monotonic() - start, 1)

    def _outcome(self, run_id: str, values: Sequence[float], end: Exit, seconds: float) -> dict[str, Any]:
        """The outcome of a trial, as `search.finish` takes it."""
        value, reason = search.best(self.plan, values), None
        if end.was_stopped:
            state, reason = "PRUNED", f"Hyperband, after {len(values)} validations"
        elif end.code != 0:
            state, reason = "FAIL", f"exit status {end.code}: {last_words(self._log(run_id))}"
        elif value is None:
            logged = ", ".join(logged_names(self.folder / run_id)) or "nothing"
            seen = f"is {values[-1]}" if values else f"was never logged (logged: {logged})"
            state, reason = "FAIL", f"{self.plan.metric} {seen}"
        else:
            state = "COMPLETE"
        value = None if state == "FAIL" else value
        return {"run_id": run_id, "state": state, "value": value, "seconds": seconds, "reason": reason}

    def _give_up(self, what: str, outcome: Mapping[str, Any]) -> None:
        raise SweepError(
            f"{what} failed, the last with: {outcome['reason']}",
            f"read {self._log(outcome['run_id'])}, mend it and start the same sweep again: "
            "what is finished is kept",
        )

    def _log(self, run_id: str) -> Path:
        return self.folder / "logs" / f"{run_id}.log"

    def _shown(self, outcome: Mapping[str, Any]) -> str:
        figure = "" if outcome["value"] is None else f" {self.plan.metric} {outcome['value']:.4g}"
        reason = f" ({outcome['reason']})" if outcome["reason"] else ""
        return f"{search.STATES[outcome['state']]}{figure}{reason}, {outcome['seconds']:.0f} s"


def options_of(trial: FrozenTrial) -> dict[str, Any]:
    """The options of an ended trial that the sweep varies; for the default also those outside the space."""
    return {**trial.params, **trial.user_attrs.get("outside", {})}


def short_name(name: str) -> str:
    """An option's name without what most share: `optimizer.lr` for `model.optimizer.init_args.lr`."""
    parts = [part for part in name.split(".") if part != "init_args"]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in ("model", "data", "trainer") else parts)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
