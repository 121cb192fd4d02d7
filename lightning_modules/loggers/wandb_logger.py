"""A W&B run bound to a run folder: nothing that W&B does can stop or slow down training."""

import os
import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lightning_modules.loggers.background_thread import BackgroundCalls
from lightning_modules.loggers.csv_logger import Past, logged_before
from lightning_modules.loggers.wandb_artifacts import CheckpointArtifacts, CheckpointVersion
from lightning_modules.metrics.directions import better_direction
from lightning_modules.runs.folder import Run

if TYPE_CHECKING:
    import wandb
    from wandb.sdk.lib import RunDisabled

PROJECT = "maestro-lightning"
STEP = "trainer/global_step"
INIT_TIMEOUT_SECONDS = 20.0
FINISH_TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
"""How long training waits for W&B to start, so that its one line comes before the progress bar."""


class Monitor(NamedTuple):
    """The score that a run is judged by.

    Attributes:
        name: Logged name, e.g. `val/log_mel_distance`; None for no such score.
        mode: `min` or `max`.
    """

    name: str | None
    mode: str


@dataclass(frozen=True)
class WandbOptions:
    """Name, group and labels of a run in W&B. W&B's own environment variables fill in what is left out.

    Args:
        project: Project; `maestro-lightning` by default.
        entity: User or team; that of the key by default.
        name: Name of the run; its id by default.
        group: What is shown together; the experiment by default, so that a fit and its tests are.
        job_type: Kind of run; the verb by default.
        tags: Labels.
        notes: A sentence about the run.
        log_checkpoints: Upload best and last checkpoint as versions of an artifact, with the aliases `best`,
            `last` and `step-<number>`.
    """

    project: str | None = None
    entity: str | None = None
    name: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    log_checkpoints: bool = False


class RunWandbLogger(WandbLogger):
    """Lightning's W&B logger, bound to a run folder, without prompts, crashes and waits.

    Everything that W&B does happens in a thread of its own, in order: training goes on while W&B starts,
    uploads or hangs. If W&B cannot be reached the run is kept offline; if W&B cannot start at all, nothing is
    logged to it; if it fails later, the rest goes where it can. One line says so each time.

    A continued run continues its W&B run, and scalars that the run's CSV files have already are not logged
    again, nor are media of the steps up to there: steps never go backwards. Verbs other than `fit` get a W&B
    run of their own in the same group.

    Args:
        run: The run; gives folder, id, name and group.
        mode: `online` or `offline`, or another mode of `wandb.init`.
        config: Resolved options.
        options: How the run appears.
        monitor: Score that the best checkpoint is chosen by.
    """

    def __init__(
        self,
        run: Run,
        mode: str,
        config: dict[str, Any],
        options: WandbOptions,
        monitor: Monitor,
    ) -> None:
        own_id = run.id if run.verb == "fit" else f"{run.id}-{run.root.name}"
        environment = os.environ.get
        name = options.name or environment("WANDB_NAME") or run.id
        name = name if run.verb == "fit" else f"{name}-{run.root.name}"
        project = options.project or environment("WANDB_PROJECT") or PROJECT
        self.init_options: dict[str, Any] = dict(
            name=name,
            dir=str(run.root),
            id=own_id,
            resume="allow",
            project=project,
            entity=options.entity,
            group=options.group or environment("WANDB_RUN_GROUP") or run.experiment,
            job_type=options.job_type or environment("WANDB_JOB_TYPE") or run.verb,
            tags=options.tags or None,
            notes=options.notes,
            config=config,
            mode=mode,
        )
        """Of `wandb.init`."""
        super().__init__(
            name=name,
            save_dir=str(run.root),
            id=own_id,
            project=project,
        )
        self.run = run
        self.monitor = monitor
        self.where: str | None = None
        """Address of an online run, folder of an offline one; None before the run has started."""
        self.is_offline = mode != "online"
        self._artifacts = CheckpointArtifacts(own_id) if options.log_checkpoints else None
        self._calls: BackgroundCalls | None = None
        self._past: dict[str, Past] = {}
        if run.resumed and run.verb == "fit":
            self._past = logged_before(run.root)  # now: training is about to add to it
        self._described: set[str] = set()
        self._has_warned = False

    @property
    @rank_zero_experiment
    def experiment(self) -> "wandb.Run | RunDisabled":
        """The W&B run, started on first use; unlike logging, asking for it waits until it has started."""
        self._do(lambda: None)
        if self._calls is not None:
            self._calls.wait(3 * INIT_TIMEOUT_SECONDS)
        return self._started()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log scalars or media at a global step."""
        self._do(partial(self._send, dict(metrics), step))

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401 (Lightning's signature)
        """Add to the run's config."""
        values = vars(params) if isinstance(params, Namespace) else dict(params)
        self._do(lambda: self._started().config.update(values, allow_val_change=True))

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Upload a new best checkpoint, if asked to."""
        if self._artifacts is not None:
            for version in self._artifacts.new_best(checkpoint_callback):
                self._do(partial(self._send_artifact, version))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the W&B run, so that the next one in this process is another."""
        if self._calls is None:
            return
        for version in self._artifacts.last() if self._artifacts else ():
            self._do(partial(self._send_artifact, version))
        calls, self._calls = self._calls, None
        calls.submit(partial(self._finish, 0 if status == "success" else 1))
        if not calls.close(FINISH_TIMEOUT_SECONDS + PATIENCE_SECONDS):
            self._warn(TimeoutError("the upload takes too long"))
        self._experiment = None

    def __getstate__(self) -> dict[str, Any]:
        """For processes started by `spawn`, where rank 0 begins the run if it has not begun."""
        return {**self.__dict__, "_experiment": None, "_calls": None}

    def _do(self, call: Callable[[], object]) -> None:
        """Have `call` made in W&B's thread, after the run has started."""
        if self._calls is None:
            self._calls = BackgroundCalls("wandb", self._warn)
            self._calls.submit(self._start)
            self._calls.wait(PATIENCE_SECONDS)
        self._calls.submit(call)

    def _started(self) -> "wandb.Run | RunDisabled":
        if self._experiment is None:
            # Lightning looks with `hasattr` whether there is a run yet: a slow start must not end training
            raise AttributeError("W&B has not started yet: there is no run to give")
        return self._experiment

    def _start(self) -> None:
        """Start the run online, else offline, else not at all."""
        import wandb

        for mode in dict.fromkeys([self.init_options["mode"], "offline", "disabled"]):
            try:
                self._experiment = self._init(mode)
                break
            except Exception as error:
                if mode == "disabled":
                    raise
                # whatever is wrong with W&B, training does not depend on it
                rank_zero_info(f"W&B: cannot start {mode} ({_reason(error)})")
                if wandb.run is None:  # else a run of the user would end with it
                    wandb.teardown()  # the failed attempt holds on to the run's id
        self._started().define_metric(STEP)
        self._started().define_metric("*", step_metric=STEP, step_sync=True)
        self._described = set()

    def _init(self, mode: str) -> "wandb.Run | RunDisabled":
        import wandb

        settings = wandb.Settings(
            init_timeout=INIT_TIMEOUT_SECONDS,
            # data that is not uploaded by then stays on disk for `wandb sync`
            finish_timeout=FINISH_TIMEOUT_SECONDS,
            # a captured live progress bar is megabytes of control characters
            console="off",
            # W&B's own messages break a live progress bar; one line says all that is needed
            silent=True,
            # W&B holds back 15 s of a run's log otherwise, which a kill would lose
            x_transaction_log_flush_interval=1.0,
            # another run in this process, of a notebook or an earlier verb, is left alone
            reinit="create_new",
        )
        started = wandb.init(**{**self.init_options, "mode": mode}, settings=settings)
        self.is_offline = mode != "online"
        self.where = None if mode == "disabled" else (started.url if mode == "online" else _sync_dir(started))
        if mode == "online":
            rank_zero_info(f"W&B: {self.where}")
        elif mode == "offline":
            quoted = shlex.quote(str(self.where))
            rank_zero_info(f"W&B: offline; `wandb leet {quoted}` shows it, `wandb sync` uploads it")
        return started

    def _send(self, values: dict[str, Any], step: int | None) -> None:
        """Log what a continued run has not logged yet."""
        if step is not None:
            values = {name: value for name, value in values.items() if self._is_new(name, value, step)}
            if not values:
                return
            values[STEP] = step
        for name in values.keys() - self._described - {STEP}:
            self._describe(name)
        self._started().log(values)
        self._remind_of_the_past(values)

    def _is_new(self, name: str, value: object, step: int) -> bool:
        if name in self._past:
            return step > self._past[name].last_step
        # media, which no CSV file holds, come with validations, whose scalars follow them
        is_media = not isinstance(value, int | float)
        return not is_media or step > max((past.last_step for past in self._past.values()), default=-1)

    def _best(self, name: str) -> str | None:
        """`min` or `max`, for a scalar that has a best value."""
        return self.monitor.mode if name == self.monitor.name else better_direction(name)

    def _describe(self, name: str) -> None:
        """Let the runs table show a score's best value, not its last."""
        self._described.add(name)
        best = self._best(name)
        if best is not None:
            self._started().define_metric(name, step_metric=STEP, step_sync=True, summary=best)

    def _remind_of_the_past(self, values: dict[str, Any]) -> None:
        """W&B forgets the best value of a run that is continued, with each value that is logged."""
        for name in values.keys() & self._past.keys():
            best, past = self._best(name), self._past[name]
            if best == "min" and past.lowest < values[name]:
                self._started().summary.update({name: {best: past.lowest}})
            elif best == "max" and past.highest > values[name]:
                self._started().summary.update({name: {best: past.highest}})

    def _send_artifact(self, version: CheckpointVersion) -> None:
        self._started().log_artifact(version.artifact(), aliases=version.aliases)

    def _finish(self, exit_code: int) -> None:
        if self._experiment is not None:
            self._experiment.finish(exit_code=exit_code)

    def _warn(self, error: Exception) -> None:
        """Say once that something is missing in W&B."""
        if not self._has_warned:
            self._has_warned = True
            rank_zero_info(f"W&B: not everything is logged ({_reason(error)}); training goes on")


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _sync_dir(started: "wandb.Run | RunDisabled") -> str:
    """The folder to give to `wandb sync`, relative to here if that is shorter."""
    folder = Path(started.settings.sync_dir)
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)
