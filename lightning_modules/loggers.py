"""Where a run's figures go: Weights & Biases, and a CSV file that needs nobody."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lightning_modules.csv_logger import RunCSVLogger
from lightning_modules.runs import Run

if TYPE_CHECKING:
    import wandb
    from wandb.sdk.lib import RunDisabled

PROJECT = "maestro-lightning"
INIT_TIMEOUT_SECONDS = 20.0
FINISH_TIMEOUT_SECONDS = 120.0


class Monitor(NamedTuple):
    """The figure whose best value W&B shows for a run.

    Attributes:
        name: Logged name, e.g. `val/log_mel_distance`; None for no such figure.
        mode: `min` or `max`.
    """

    name: str | None
    mode: str


def run_loggers(run: Run, config: dict[str, Any], tags: list[str], monitor: Monitor) -> list[Logger]:
    """The default loggers of a run: W&B (unless `WANDB_MODE=disabled`) and CSV.

    Args:
        run: The run; its folder holds what both write.
        config: Resolved options, kept with the W&B run.
        tags: Labels of the W&B run.
        monitor: Figure whose best value W&B shows.
    """
    csv_logger = RunCSVLogger(run.root)
    # W&B's own messages break a live progress bar; `RunWandbLogger` says all that is needed in one line
    os.environ.setdefault("WANDB_SILENT", "true")
    mode = wandb_mode()
    if mode == "disabled":
        return [csv_logger]
    return [RunWandbLogger(run, mode, config, tags, monitor), csv_logger]


def wandb_mode() -> str:
    """What `WANDB_MODE` says; else `online` if a key is configured and `offline` if not. Asks nobody."""
    configured = os.environ.get("WANDB_MODE")
    if configured == "":
        del os.environ["WANDB_MODE"]  # means "not set", but W&B stops at it
    if configured:
        return {"dryrun": "offline", "run": "online"}.get(configured, configured)
    return "online" if _has_wandb_key() else "offline"


def _has_wandb_key() -> bool:
    """Whether W&B finds an API key in the environment, its settings or the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb
    from wandb.sdk.lib import wbauth

    try:
        host = wandb.setup().settings.base_url
        return wbauth.authenticate_session(
            host=host, source="lightning", verify=False, prompt=False, update_session=False
        ) is not None  # fmt: skip
    except Exception as error:
        # a malformed key or netrc file must not keep anybody from training
        rank_zero_info(f"W&B: no usable key ({error})")
        return False


class RunWandbLogger(WandbLogger):
    """Lightning's W&B logger, bound to a run folder, without prompts and without a crash.

    If W&B cannot be reached the run is kept offline; if W&B cannot start at all, nothing is logged to it.
    Either way one line says so and training goes on.

    Args:
        run: The run; gives folder, id, name and group. Continuing a run continues its W&B run. Verbs other
            than `fit` get a W&B run of their own in the same group.
        mode: `online` or `offline`, or another mode of `wandb.init`.
        config: Resolved options.
        tags: Labels.
        monitor: Figure whose best value is shown in the runs table.
    """

    def __init__(
        self, run: Run, mode: str, config: dict[str, Any], tags: list[str], monitor: Monitor
    ) -> None:
        own_id = run.id if run.verb == "fit" else f"{run.id}-{run.root.name}"
        super().__init__(
            name=own_id,
            save_dir=str(run.root),
            id=own_id,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.experiment,
            job_type=run.verb,
            tags=tags,
            config=config,
            mode=mode,
        )
        del self._wandb_init["anonymous"]  # Lightning passes it always, and W&B warns that it has no effect
        self.monitor = monitor
        self.where: str | None = None
        """Address of an online run, folder of an offline one; None before the run has started."""
        self.is_offline = mode != "online"

    @property
    @rank_zero_experiment
    def experiment(self) -> "wandb.Run | RunDisabled":
        """The W&B run, started on first use."""
        if self._experiment is None:
            self._experiment = self._start()
        return self._experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the W&B run, so that the next one in this process is another."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None

    def _start(self) -> "wandb.Run | RunDisabled":
        import wandb

        for mode in dict.fromkeys([self._wandb_init["mode"], "offline", "disabled"]):
            try:
                started = self._init(mode)
                break
            except Exception as error:
                if mode == "disabled":
                    raise
                # whatever is wrong with W&B, training does not depend on it
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                rank_zero_info(f"W&B: cannot start {mode} ({reason})")
                wandb.teardown()  # the failed attempt would hold on to the run's id
        self._describe_metrics(started)
        return started

    def _init(self, mode: str) -> "wandb.Run | RunDisabled":
        import wandb

        settings = wandb.Settings(
            init_timeout=INIT_TIMEOUT_SECONDS,
            # data that is not uploaded by then stays on disk for `wandb sync`
            finish_timeout=FINISH_TIMEOUT_SECONDS,
            # a captured live progress bar is megabytes of control characters
            console="off",
        )
        started = wandb.init(**{**self._wandb_init, "mode": mode}, settings=settings)
        self.is_offline = mode != "online"
        self.where = None if mode == "disabled" else (started.url if mode == "online" else _sync_dir(started))
        if mode == "online":
            rank_zero_info(f"W&B: {self.where}")
        elif mode == "offline":
            rank_zero_info(f"W&B: offline; `wandb leet` or `wandb sync` {self.where}")
        return started

    def _describe_metrics(self, started: "wandb.Run | RunDisabled") -> None:
        """Plot everything over the step; show the monitored figure's best value, not its last."""
        started.define_metric("trainer/global_step")
        started.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        if self.monitor.name is not None:
            started.define_metric(
                self.monitor.name,
                step_metric="trainer/global_step",
                step_sync=True,
                summary=self.monitor.mode,
            )


def _sync_dir(started: "wandb.Run | RunDisabled") -> str:
    """The folder to give to `wandb sync`, relative to here if that is shorter."""
    folder = Path(started.settings.sync_dir)
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)
