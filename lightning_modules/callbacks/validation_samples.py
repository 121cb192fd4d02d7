"""When, where and how what a model makes is written while it trains."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_modules.base import GenerativeModule
from lightning_modules.errors import AudioFileError, OptionError
from lightning_modules.loggers.media import MediaLogger
from lightning_modules.loggers.run_loggers import media_loggers
from lightning_modules.numerics.noise import seeded_noise
from lightning_modules.runs.folder import free_path


class ValidationSamples(pl.Callback, ABC):
    """Every few validations, writes what the model makes into the run's folder and sends it to the loggers.

    Files go to `samples/step_<global step>/`; of several processes the first alone writes. Random numbers of
    training are not touched, and files that cannot be written are warned of.

    Args:
        every_n_validations: How many validations lie between two writings; the last one of a run always
            writes.
        seed: Of the random numbers that torch draws meanwhile.
        at_first: Whether the first validation writes, and counting begins there; else the n-th does.

    Raises:
        OptionError: If `every_n_validations` is below 1.
    """

    def __init__(self, every_n_validations: int, seed: int, at_first: bool = True) -> None:
        self.every_n_validations = self.at_least("every_n_validations", every_n_validations, 1)
        self.seed = seed
        self.at_first = at_first
        self._validations = 0

    def at_least(self, name: str, value: int, least: int) -> int:
        """An option of this callback.

        Raises:
            OptionError: If it is below `least`.
        """
        if value < least:
            raise OptionError(f"{type(self).__name__}'s {name} is {value}", f"give at least {least}")
        return value

    @abstractmethod
    def write(
        self, trainer: pl.Trainer, module: GenerativeModule, folder: Path
    ) -> Callable[[MediaLogger], None]:
        """Make samples, the module being in evaluation mode and gradients off, and write them.

        Args:
            trainer: The run's.
            module: What makes them.
            folder: Of this step; it exists, and is empty.

        Returns:
            What sends the files to a logger.
        """

    def is_due(self, trainer: pl.Trainer) -> bool:
        """Whether this validation writes."""
        if trainer.sanity_checking:
            return False
        is_last = (
            trainer.current_epoch + 1 == trainer.max_epochs or 0 < trainer.max_steps <= trainer.global_step
        )
        return is_last or (self._validations + (not self.at_first)) % self.every_n_validations == 0

    def state_dict(self) -> dict[str, int]:
        """The counters that a resumed run goes on from."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on counting from a checkpoint."""
        self._validations = state_dict["validations"]

    def on_validation_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: GenerativeModule,  # type: ignore[override]
    ) -> None:
        """Write and log; the module is in evaluation mode and gradients are off."""
        due = self.is_due(trainer) and trainer.is_global_zero
        self._validations += not trainer.sanity_checking
        if not due:
            return
        import soundfile  # which takes long, and is needed here only

        folder = free_path(Path(trainer.default_root_dir) / "samples" / f"step_{trainer.global_step:06d}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with seeded_noise(self.seed, pl_module.device):
                show = self.write(trainer, pl_module, folder)
        except (OSError, soundfile.LibsndfileError, AudioFileError) as error:
            reason = error.problem if isinstance(error, AudioFileError) else error
            rank_zero_warn(f"Cannot write samples into {folder} ({reason}); training goes on", stacklevel=2)
            return
        for logger in media_loggers(trainer):
            show(logger)
