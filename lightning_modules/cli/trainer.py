"""`lightning fit | validate | test | predict`: LightningCLI with run folders, loggers and resuming."""

import enum
import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import lightning.pytorch as pl
import torch
import yaml  # type: ignore[import-untyped]  # ships no type information
from jsonargparse.typing import get_registered_type, register_type
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import OmegaConf

import lightning_modules
from lightning_modules.audio.files import shown_lines
from lightning_modules.base import GenerativeModule
from lightning_modules.callbacks.evaluation import Evaluation
from lightning_modules.checkpoints.allocation import AllocationLimit, allocation_allowed
from lightning_modules.checkpoints.file import AtomicCheckpointIO, read_checkpoint
from lightning_modules.checkpoints.parsing import innermost
from lightning_modules.cli import TRUST_HELP, user_error_text
from lightning_modules.cli.help import HelpFormatter, with_class_of_help
from lightning_modules.cli.mistakes import AnsweringParser
from lightning_modules.cli.run_arguments import check_text, scan_arguments, with_own_loggers, with_run_config
from lightning_modules.errors import ExperimentError, OptionError
from lightning_modules.inference.density import DrawFromDensity
from lightning_modules.loggers.run_loggers import check_wandb, run_loggers
from lightning_modules.loggers.tensorboard_logger import RunTensorBoardLogger
from lightning_modules.loggers.wandb_logger import Monitor, WandbOptions
from lightning_modules.runs.config import SHARED_OPTIONS, explained_configs, with_links
from lightning_modules.runs.folder import plan_run
from lightning_modules.runs.lock import training_alone
from lightning_modules.runs.resume import AUTO, check_goes_on, find_checkpoint, readable_checkpoint
from lightning_modules.training.changed_options import ChangedOptions
from lightning_modules.training.compile import Compile
from lightning_modules.training.exact_resume import ExactResume
from lightning_modules.training.interruption import Interruption
from lightning_modules.training.model_table import ModelTable
from lightning_modules.training.monitor import doubt_of_monitor
from lightning_modules.training.progress import progress_bar
from lightning_modules.training.record_run import RecordRun
from lightning_modules.training.restoring import explained_restoring
from lightning_modules.training.run_checkpoint import RunCheckpoint
from lightning_modules.training.summary import RunSummary

MOST_PROCESSES = 8
"""On a machine without an accelerator; or as many as it has cores."""
OPTIONS_ELSEWHERE = """options of one class:
  lightning {verb} --model.help VAE
  lightning {verb} --data.help
  lightning {verb} --config experiments/vae.yaml --print_config   all, with their values

--debug, anywhere, shows all of an error and of the warnings that are hidden otherwise.
"""


class TrainerParser(AnsweringParser, LightningArgumentParser):
    """Lightning's parser, which answers mistakes in a line or two."""


class TrainerCLI(LightningCLI):
    """The Trainer's verbs, started from experiment files and command-line overrides."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (LightningCLI's, which runs the verb)
        self._held = ExitStack()
        with self._held:
            super().__init__(*args, **kwargs)

    @classmethod
    def start(cls, arguments: list[str]) -> "TrainerCLI":
        """Parse `arguments`, which begin with the verb, and run it."""
        check_text(arguments)
        for name in lightning_modules.__all__:
            getattr(lightning_modules, name)  # imported so that class names can be given alone: --model VAE
        # `${data.init_args.sample_rate}` in an experiment file means that file's own top level, also under
        # `fit:`
        jsonargparse.set_parsing_settings(
            omegaconf_absolute_to_relative_paths=True, instantiate_subclass_spec_in_any=False
        )
        # defaults of Lightning's callbacks that YAML cannot hold
        if not get_registered_type(torch.device):
            register_type(torch.device)
        yaml.SafeDumper.add_multi_representer(
            enum.Enum, lambda dumper, each: dumper.represent_data(each.value)
        )
        OmegaConf.register_resolver("auto_precision", auto_precision, replace=True)
        # 60 lines of options would hide the one line that says what is wrong; `fit --help` lists them
        usage = "lightning %s [--config FILE.yaml …] [--KEY VALUE …]"
        verbs = LightningCLI.subcommands()
        # a parser takes a while to build: that of the verb is enough
        needed = {arguments[0]: verbs[arguments[0]]} if arguments[0] in verbs else verbs
        return type(cls.__name__, (cls,), {"subcommands": staticmethod(lambda: needed)})(
            GenerativeModule,
            pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_class=TrainerParser,
            args=with_class_of_help(arguments, lightning_modules.__all__),
            # `omegaconf+` resolves ${…} after overlays and overrides; plain `omegaconf` resolves file by file
            parser_kwargs={
                "prog": "lightning",
                "parser_mode": "omegaconf+",
                **{
                    verb: {
                        "parser_mode": "omegaconf+",
                        "usage": usage % verb,
                        "epilog": OPTIONS_ELSEWHERE.format(verb=verb),
                        "formatter_class": HelpFormatter,
                    }
                    for verb in needed
                },
            },
            seed_everything_default=0,
            save_config_callback=None,  # RecordRun does it, without overwriting
            auto_configure_optimizers=False,
            # base.GenerativeModule describes itself in the checkpoint; Lightning's own way pickles
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the run, the `checkpoint:` section, and the links from data to model."""
        parser.add_argument(
            "--experiment",
            type=str | None,
            help="Name shared by the runs of one config (default: its file name).",
        )
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all experiments.")
        parser.add_argument(
            "--run_id",
            type=str | None,
            help="Name of the run's folder (default: time stamp and a random suffix).",
        )
        parser.add_argument(
            "--matmul_precision",
            type=Literal["highest", "high", "medium"] | None,
            help="Of 32-bit products on a GPU: high and medium use TF32 units, fast and good to 3 digits.",
        )
        parser.add_argument(
            "--compile",
            type=list[str],
            default=[],
            help="Parts of the model that `fit` compiles, e.g. [encoder, decoder].",
        )
        parser.add_argument(
            "--fall_back",
            type=bool,
            default=False,
            help="Pass over a damaged checkpoint and go on from the run's previous one.",
        )
        parser.add_argument(
            "--density",
            type=str | None,
            help="For test, validate and predict: draw samples from the density in this file, made by "
            "`lightning fit_density`.",
        )
        parser.add_argument("--trust", type=str | None, metavar="PACKAGE", help=TRUST_HELP)
        parser.add_class_arguments(WandbOptions, "wandb")
        parser.add_lightning_class_args(RunCheckpoint, "checkpoint")
        for option in SHARED_OPTIONS:
            parser.link_arguments(f"data.init_args.{option}", f"model.init_args.{option}")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401 (Lightning's signature)
        """Parse without Lightning's warning about `args` given beside `sys.argv`: `main` takes both."""
        given, args = args, with_own_loggers(with_run_config(args))
        self._config_came_along = len(args) > len(given)
        with explained_configs(scan_arguments(args).config):
            self.config = parser.parse_args(args)
        self.config_files = [Path(file) for file in scan_arguments(args).config]

    def _parse_ckpt_path(self) -> None:
        """Do not read hyper-parameters from the checkpoint: the run's config.yaml has them."""

    def before_instantiate_classes(self) -> None:
        """Turn the run's options into a `Run`; nothing is written yet."""
        options = self.config[self.subcommand]
        if options.matmul_precision is not None:
            torch.set_float32_matmul_precision(options.matmul_precision)
            torch.backends.cudnn.allow_tf32 = options.matmul_precision != "highest"
        runs_dir = Path(options.runs_dir)
        experiment = options.experiment or (self.config_files[0].stem if self.config_files else "unnamed")
        self.checkpoint = None
        if options.ckpt_path is not None:
            self.checkpoint = find_checkpoint(
                options.ckpt_path, runs_dir, experiment, options.run_id, str(self.subcommand)
            )
        if options.fall_back:
            self.checkpoint = readable_checkpoint(self.checkpoint)
        if self.subcommand == "fit" and self.checkpoint is not None:
            check_goes_on(self.checkpoint)
        again = options.ckpt_path == AUTO  # even a run that was killed before its first checkpoint
        self.run = plan_run(
            str(self.subcommand), experiment, runs_dir, options.run_id, self.checkpoint, again=again
        )
        if options.trainer.default_root_dir is not None:
            raise ExperimentError(
                f"trainer.default_root_dir is {options.trainer.default_root_dir!r}, but a run owns its "
                "folder",
                "leave it out and say with runs_dir, experiment and run_id where the run goes",
            )
        if options.trainer.logger in (None, True):
            check_wandb(WandbOptions(project=options.wandb.project))
        check_devices(options.trainer.accelerator, options.trainer.devices)
        if self.subcommand == "fit" and self.checkpoint is not None and options.trainer.fast_dev_run:
            raise ExperimentError(
                "trainer.fast_dev_run trains a batch from the start, and --ckpt_path asks to go on from "
                f"{self.checkpoint}",
                "leave out one of them",
            )
        # saved so that the same thing can be started again, as a new run
        saved = self.config[self.subcommand].clone()
        saved.experiment, saved.run_id, saved.ckpt_path = self.run.experiment, None, None
        saved.pop("trust")
        dumped = self._parser(self.subcommand).dump(saved, skip_unset=False)
        self.saved_config: str = with_links(dumped, self.config_files)
        saved.pop("config", None)
        self.saved_options: dict[str, Any] = saved.as_dict()

    def instantiate_classes(self) -> None:
        """Build everything; for a config that came along, within what the checkpoint's weights are worth.

        Raises:
            OptionError: If a class takes a value that it can do nothing with.
        """
        limit: AbstractContextManager[object] = nullcontext()
        if self._config_came_along and self.checkpoint is not None:
            allowed = allocation_allowed(read_checkpoint(self.checkpoint)["state_dict"])
            limit = AllocationLimit(allowed, f"config of {self.checkpoint}")
        try:
            with limit:
                super().instantiate_classes()
        except ValueError as error:
            # the parser's words for what a class raises; our own errors are told as they are
            if not str(error).startswith("Does not validate") or user_error_text(error) is not None:
                raise
            reason = innermost(str(error)).partition(". Got value: ")[0]
            raise OptionError(
                f"The model or the data cannot be built: {reason}",
                "correct that option; --debug shows where it is",
            ) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:  # noqa: ANN401 (Lightning's signature)
        """Make the run folder, now that model and data exist, and the Trainer that writes into it."""
        check_shared_options(self.model, self.datamodule)
        trainer_options = self.config_init[self.subcommand].trainer
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            self._doubt_monitor(trainer_options.callbacks)
            self.run = self.run.create()
            self._held.callback(self.run.remove_if_empty)
            if self.subcommand == "fit":
                self._held.enter_context(training_alone(self.run.folder))
        trainer_options.callbacks = self._with_own_callbacks(trainer_options)
        trainer_options.logger = self._choose_loggers(trainer_options.logger)
        plugins = trainer_options.plugins or []
        trainer_options.plugins = [
            *(plugins if isinstance(plugins, list) else [plugins]),
            AtomicCheckpointIO(patient=True),
        ]
        if trainer_options.enable_checkpointing is False or trainer_options.fast_dev_run:
            self._parser(self.subcommand).callback_keys.clear()
        return super().instantiate_trainer(default_root_dir=str(self.run.root), **kwargs)

    def _doubt_monitor(self, callbacks: pl.Callback | list[pl.Callback] | None) -> None:
        """Say before data are prepared that the best checkpoint is chosen by what nothing gives."""
        monitor = self.config[self.subcommand].checkpoint.monitor
        if self.subcommand == "fit" and monitor is not None:
            parts = [self.model, *(callbacks if isinstance(callbacks, list) else [callbacks])]
            doubt = doubt_of_monitor(monitor, parts, self.saved_config)
            if doubt is not None:
                print("warning:", shown_lines(doubt), file=sys.stderr, flush=True)

    def _with_own_callbacks(self, trainer_options: jsonargparse.Namespace) -> list[pl.Callback]:
        """The run's own callbacks around those of the config; the first decides where all others write."""
        given = trainer_options.callbacks or []
        given = given if isinstance(given, list) else [given]
        callbacks = [RecordRun(self.run.root, self.saved_config), *given]
        if trainer_options.logger is False:  # Lightning refuses what has nowhere to log
            callbacks = [each for each in callbacks if not isinstance(each, pl.callbacks.LearningRateMonitor)]
        has_progress = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in given)
        if trainer_options.enable_progress_bar is not False and not has_progress:
            callbacks.append(progress_bar())
        has_table = any(isinstance(callback, pl.callbacks.ModelSummary) for callback in given)
        if trainer_options.enable_model_summary is not False and not has_table:
            callbacks.append(ModelTable())
            trainer_options.enable_model_summary = False  # Lightning would say that it adds none of its own
        density = self.config[self.subcommand].density
        if density is not None and self.subcommand == "fit":
            raise ExperimentError(
                f"--density {density}: a density is fitted to a trained model and is not trained with it",
                "leave it out; test, validate, predict, generate and interpolate take it",
            )
        if density is not None:
            callbacks.append(DrawFromDensity(density))
        if self.subcommand == "fit":
            callbacks += [RunSummary(), Interruption(), ChangedOptions(), ExactResume()]
            compiled = self.config[self.subcommand].compile
            callbacks += [Compile(compiled)] if compiled else []
        return callbacks

    def _choose_loggers(self, configured: Any) -> Any:  # noqa: ANN401 (a Trainer option of many types)
        """W&B and CSV, and those that `trainer.logger` names beside them; none at all if it is False."""
        if configured is False:
            return False
        named = configured if isinstance(configured, list) else [configured]
        added = [logger for logger in named if isinstance(logger, Logger)]
        checkpoint = self.config[self.subcommand].checkpoint
        loggers: list[Logger] = run_loggers(
            self.run,
            config=self.saved_options,
            options=self.config_init[self.subcommand].wandb,
            monitor=Monitor(checkpoint.monitor, checkpoint.mode),
        )
        for logger in added:
            if isinstance(logger, RunTensorBoardLogger):
                logger.bind(self.run, self.saved_options, Monitor(checkpoint.monitor, checkpoint.mode))
        if any(isinstance(logger, WandbLogger) for logger in added):
            loggers = [logger for logger in loggers if not isinstance(logger, WandbLogger)]
        return loggers + added

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the verb; a run that a signal stopped ends with the status that shells expect of it."""
        try:
            with explained_restoring(self.checkpoint):
                super()._run_subcommand(subcommand)
        except SIGTERMException as stop:
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
            (interruption,) = [each for each in callbacks if isinstance(each, Interruption)]
            raise SystemExit(interruption.exit_status(self.trainer)) from stop

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Arguments for the Trainer's method; checkpoints are opened without unpickling objects."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        kwargs["ckpt_path"] = self.checkpoint and str(self.checkpoint)
        if kwargs["weights_only"] is None:
            kwargs["weights_only"] = True
        if subcommand == "test" and any(
            isinstance(each, Evaluation)
            for each in self.trainer.callbacks  # type: ignore[attr-defined]
        ):
            kwargs["verbose"] = False  # it prints one table, with intervals
        if "return_predictions" in kwargs:
            kwargs["return_predictions"] = False  # nobody would take them, and a whole split fills the memory
        return kwargs


def check_devices(accelerator: str, devices: object) -> None:
    """Make sure that a machine without an accelerator is not asked for thousands of processes.

    Raises:
        OptionError: If it is.
    """
    most = max(MOST_PROCESSES, os.cpu_count() or 1)
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    text = str(devices)
    if on_cpu and text.isascii() and text.isdecimal() and int(text) > most:
        raise OptionError(
            f"trainer.devices is {devices}, and each would be a process of its own on {os.cpu_count()} cores",
            f"give at most {most}, or leave it out",
        )


def check_shared_options(model: pl.LightningModule, data: pl.LightningDataModule) -> None:
    """Make sure that model and data agree about the audio.

    Raises:
        ExperimentError: If both have a sample rate, clip length or channel count, and they differ.
    """
    for option in SHARED_OPTIONS:
        model_value, data_value = getattr(model, option, None), getattr(data, option, None)
        if None not in (model_value, data_value) and model_value != data_value:
            raise ExperimentError(
                f"{option} is {model_value} in the model {type(model).__name__} but {data_value} in the data "
                f"module {type(data).__name__}",
                f"set data.init_args.{option} alone: the model follows it if its class takes {option}",
            )


def auto_precision() -> str:
    """`bf16-mixed` on a GPU with bfloat16 units, `16-mixed` on an older one, else `32-true`."""
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
