"""Says in plain words when training has gone wrong."""

from collections import deque
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from datamodules.batch import Batch, part_of
from lightning_modules.base import GenerativeModule, can_resynthesise, can_sample, resynthesise
from lightning_modules.callbacks import symptoms
from lightning_modules.callbacks.guard import GradientGuard
from lightning_modules.callbacks.symptoms import Diagnoses, Symptom
from lightning_modules.errors import OptionError
from lightning_modules.loggers.run_loggers import media_loggers
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.reports.findings import FILE_NAME, Finding, append_findings

CRITIC_LOOKS = 20
"""Looks at the critic that are judged together. It may win for a while: that of the default WaveGAN rejected
99% of what was generated in ten looks in a row, and the samples went on to improve."""


class Health(pl.Callback):
    """Watches training and says, once until it clears, what is wrong and what to try.

    It says so on the console, in the loggers (`health/<problem>` is 1 from then on, 0 again when it clears;
    a table has all that was said) and in `health.json` in the run folder.

    - Every step: gradients that are NaN or Inf never reach the weights.
    - Every `every_n_steps`: such gradients, exploding ones, losses that are not finite, and a critic that has
      won or lost.
    - At validation: silence, clipping, DC offset, NaN and too little diversity in a few samples and
      reconstructions, and a posterior that has collapsed.

    Critic and posterior are judged by what a model logs: `train/critic_accuracy` (0.5 is chance) and
    `train/critic_adversarial`; `val/active_units` and `val/kl_nats_per_second`.

    Args:
        every_n_steps: Batches between two looks; only then is an accelerator waited for.
        num_clips: Clips to listen to.
        grace_steps: Steps before what the model makes, the critic and the posterior are judged.
        stop: Whether training ends at the first finding.
        max_lost_steps: Steps in a row without a finite gradient after which training ends in any case.
        ignore: Problems not to report, e.g. `critic_won` for a Wasserstein critic.
        seed: Seed of the samples' noise.
    """

    def __init__(
        self,
        every_n_steps: int = 10,
        num_clips: int = 16,
        grace_steps: int = 100,
        stop: bool = False,
        max_lost_steps: int = 50,
        ignore: tuple[str, ...] = (),
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("every_n_steps", every_n_steps, 1),
            ("num_clips", num_clips, 2),
            ("max_lost_steps", max_lost_steps, 1),
        ):
            if value < least:
                raise OptionError(f"Health's {name} is {value}", f"give at least {least}")
        self.every_n_steps = every_n_steps
        self.num_clips = num_clips
        self.grace_steps = grace_steps
        self.stop = stop
        self.max_lost_steps = max_lost_steps
        self.ignore = ignore
        self.seed = seed
        self._guards: dict[int, GradientGuard] = {}
        self._active: set[str] = set()
        self._most_active_units = 0.0
        self._critic: deque[dict[str, float]] = deque(maxlen=CRITIC_LOOKS)
        self._batches = 0
        self._clips: list[Batch] = []

    def state_dict(self) -> dict[str, Any]:
        """The findings so far, so that a resumed run reports none twice."""
        return {"active": sorted(self._active), "most_active_units": self._most_active_units}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._active = set(state_dict["active"])
        self._most_active_units = state_dict["most_active_units"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write an empty list of findings: without the file nobody knows that the run was watched."""
        self._guards = {}
        self._critic.clear()
        if trainer.is_global_zero:
            append_findings(Path(trainer.default_root_dir) / FILE_NAME, [])

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        optimizer: Optimizer,
    ) -> None:
        """Guard the weights; gradients are unscaled and not yet clipped."""
        guard = self._guards.setdefault(trainer.optimizers.index(optimizer), GradientGuard())
        guard.check(optimizer, has_scaler=has_scaler(trainer))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look, if it is time."""
        self._batches += 1
        if self._batches % self.every_n_steps == 0:
            self._look(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the last steps."""
        if any(guard.has_news for guard in self._guards.values()):
            self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        found: Diagnoses = {}
        for position, guard in self._guards.items():
            news = guard.collect()
            if news:
                of = f" of optimiser {position}" if len(trainer.optimizers) > 1 else ""
                norms = list(guard.norms)
                found |= symptoms.examine_gradients(norms[:-news], norms[-news:], has_scaler(trainer), of)
        lost = max((symptoms.trailing(guard.norms) for guard in self._guards.values()), default=0)
        figures = published(trainer, "train/")
        found |= symptoms.examine_losses({name: value for name, value in figures.items() if "loss" in name})
        if trainer.global_step > self.grace_steps:
            found |= self._judge_critic(figures)
        self._report(trainer, found)
        if lost >= self.max_lost_steps and not trainer.should_stop:
            trainer.should_stop = True
            self._report(trainer, {"training_stopped": _no_way_on(lost)})

    def _judge_critic(self, figures: dict[str, float]) -> Diagnoses:
        if "train/critic_accuracy" not in figures:
            return {}
        self._critic.append(figures)
        if len(self._critic) < CRITIC_LOOKS:
            return {}
        accuracies, losses = (
            [look[name] for look in self._critic if name in look]
            for name in ("train/critic_accuracy", "train/critic_adversarial")
        )
        return symptoms.examine_critic(accuracies, losses)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the recordings of the last validation."""
        self._clips = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the middle of the first few recordings: their beginnings may be silent."""
        wanted = self.num_clips - sum(len(clips.waveform) for clips in self._clips)
        if wanted > 0 and self._listens(trainer):
            samples = batch.waveform.shape[-1]
            length = min(pl_module.clip_samples, samples)
            start = (samples - length) // 2
            self._clips.append(part_of(batch, slice(wanted), start, start + length, pl_module.sample_rate))

    def on_validation_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
    ) -> None:
        """Listen; the module is in evaluation mode and gradients are off."""
        found: Diagnoses = {}
        if self._clips and trainer.is_global_zero:
            rate = pl_module.sample_rate
            real = torch.cat([clips.waveform for clips in self._clips]).float()  # (B, C, T)
            with trainer.precision_plugin.forward_context(), seeded_noise(self.seed, pl_module.device):
                if can_sample(pl_module):
                    samples = pl_module.sample(len(real), real.shape[-1]).float()
                    found |= symptoms.listen(samples, real, rate, "samples")
                if can_resynthesise(pl_module):
                    output = torch.cat([resynthesise(pl_module, clips) for clips in self._clips]).float()
                    found |= symptoms.listen(output, real, rate, "reconstructions")
        self._clips = []
        self._report(trainer, found)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the posterior, now that the figures of this validation are known."""
        figures = published(trainer, "val/")
        if self._listens(trainer) and "val/active_units" in figures:
            units = figures["val/active_units"]
            self._most_active_units = max(self._most_active_units, units)
            rate = figures.get("val/kl_nats_per_second")
            self._report(trainer, symptoms.examine_posterior(units, self._most_active_units, rate))

    def _listens(self, trainer: pl.Trainer) -> bool:
        in_fit = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        return in_fit and trainer.global_step >= self.grace_steps

    def _report(self, trainer: pl.Trainer, found: Diagnoses) -> None:
        """Say what is new, note what has cleared, stop if that was asked for."""
        found = {name: symptom for name, symptom in found.items() if problem_of(name) not in self.ignore}
        new = {name: symptom for name, symptom in found.items() if symptom and name not in self._active}
        cleared = {name for name, symptom in found.items() if symptom is None and name in self._active}
        self._active = (self._active | set(new)) - cleared
        if trainer.is_global_zero and (new or cleared):
            findings = [Finding(trainer.global_step, problem_of(name), *text) for name, text in new.items()]
            say(findings)
            known = append_findings(Path(trainer.default_root_dir) / FILE_NAME, findings)
            log(trainer, known if new else [], dict.fromkeys(cleared, 0.0) | dict.fromkeys(new, 1.0))
        if self.stop and trainer.strategy.reduce_boolean_decision(bool(new), all=False):
            if trainer.is_global_zero:
                print("health: training stops here, as Health's option `stop` asks.", flush=True)
            trainer.should_stop = True


def problem_of(name: str) -> str:
    """`silence` of `silence/samples`, `gradient_explosion` of `gradient_explosion of optimiser 1`."""
    return name.split("/")[0].split(" ")[0]


def has_scaler(trainer: pl.Trainer) -> bool:
    """Whether a loss scaler (16-mixed) leaves out steps whose gradients overflow."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def published(trainer: pl.Trainer, prefix: str) -> dict[str, float]:
    """The latest logged figures whose names begin with `prefix`."""
    metrics = {name: value for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
    if not metrics:
        return {}
    device = trainer.strategy.root_device
    # one wait for all
    values = torch.stack([value.float().to(device) for value in metrics.values()]).tolist()
    return dict(zip(metrics, values, strict=True))


def say(findings: list[Finding]) -> None:
    """Print findings for people."""
    for finding in findings:
        print(f"health: step {finding.step}: {finding.message}\n        Try: {finding.advice}", flush=True)


def log(trainer: pl.Trainer, findings: list[Finding], states: dict[str, float]) -> None:
    """Send what is wrong (1) and what has cleared (0) to the loggers, and all findings as a table."""
    figures = {f"health/{name.replace(' ', '_')}": state for name, state in states.items()}
    for logger in trainer.loggers:
        logger.log_metrics(figures, step=trainer.global_step)
    if findings:
        rows = [list(finding._asdict().values()) for finding in findings]
        for media in media_loggers(trainer):
            media.log_table("health/findings", Finding._fields, rows, trainer.global_step)


def _no_way_on(steps: int) -> Symptom:
    return Symptom(
        f"Training stops: no gradient was finite for {steps} steps, and nothing is learned any more.",
        "Go on from the last checkpoint with a lower learning rate, clipped gradients or 32-true precision.",
    )
