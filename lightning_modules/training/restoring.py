"""What goes wrong in restoring a checkpoint is explained in one sentence."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.trainer.connectors import checkpoint_connector

from lightning_modules.errors import CheckpointError, ExperimentError
from lightning_modules.training import changed_options, exact_resume

_FILES = tuple(module.__file__ for module in (checkpoint_connector, changed_options, exact_resume))


@contextmanager
def explained_restoring(checkpoint: Path | None) -> Iterator[None]:
    """Explain what restoring a checkpoint raises; errors of training pass as they are.

    Args:
        checkpoint: What is gone on from, if anything.

    Raises:
        CheckpointError: In place of any other error of restoring.
    """
    try:
        yield
    except ExperimentError:
        raise
    except Exception as error:  # whatever values that no version has written make Lightning raise
        if checkpoint is None or not any(map(_restores, traceback.extract_tb(error.__traceback__))):
            raise
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CheckpointError(
            f"{checkpoint} holds a state that training cannot go on from ({reason})",
            "use another checkpoint of the run",
        ) from error


def _restores(frame: traceback.FrameSummary) -> bool:
    return frame.filename in _FILES and "save" not in frame.name and "dump" not in frame.name
