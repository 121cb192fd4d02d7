"""Warnings of libraries that a user can do nothing about, silenced one by one, each with its reason."""

import logging
import os
import threading
import warnings
from collections.abc import Callable

_MESSAGES: tuple[tuple[str, type[Warning]], ...] = (
    # raised inside Lightning at its own use of torch's pytree, at every start:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/utilities/_pytree.py#L21
    (r".*isinstance\(treespec, LeafSpec\)", FutureWarning),
    # how many workers to use is a choice of the data module, which measured it; the hint knows only the CPU
    # count:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/trainer/connectors/data_connector.py
    (r".*does not have many workers which may be a bottleneck", UserWarning),
    # a continued run writes into its own folder, on purpose:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/callbacks/model_checkpoint.py#L881
    (r".*Checkpoint directory .* exists and is not empty", UserWarning),
    # the loaders hand over whole batches, which say themselves where each clip comes from:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/loops/prediction_loop.py#L307
    (r".*Couldn't infer the batch indices", UserWarning),
    # a small data set has fewer batches than `log_every_n_steps`; the epoch's averages are logged all the
    # same:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/loops/fit_loop.py
    (r".*The number of training batches .* is smaller than the logging interval", UserWarning),
    # torch.export.load reads from its own bytes, and only reads:
    # https://github.com/pytorch/pytorch/blob/v2.11.0/torch/export/pt2_archive/_package.py
    (r".*The given buffer is not writable", UserWarning),
    # of weights that share an array, as those of wavelets; what was exported is read back and compared:
    # https://github.com/pytorch/pytorch/blob/v2.14.0/torch/export/pt2_archive/_package_weights.py
    (r".*No complete tensor found in the group", UserWarning),
)


class _WithoutTips(logging.Filter):
    """Drops Lightning's advertisements for litlogger and litmodels."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show `record`."""
        return "Tip: For seamless cloud" not in record.getMessage()


def _never(record: logging.LogRecord) -> bool:
    return False


def _without_tensorboard(
    hook: Callable[[threading.ExceptHookArgs], object],
) -> Callable[[threading.ExceptHookArgs], object]:
    """A hook for errors of threads that leaves out one which TensorBoard hands to whoever logs next."""

    def hooked(error: threading.ExceptHookArgs) -> None:
        of_tensorboard = type(error.thread).__module__.startswith("tensorboard.")
        if not (of_tensorboard and isinstance(error.exc_value, OSError)):
            hook(error)

    return hooked


def silence_known_warnings() -> None:
    """Install the filters above, but for who debugs; safe to call more than once."""
    if os.environ.get("LIGHTNING_DEBUG"):
        return
    for message, category in _MESSAGES:
        warnings.filterwarnings("ignore", message=message, category=category)
    if threading.excepthook.__module__ != __name__:
        threading.excepthook = _without_tensorboard(threading.excepthook)
    # printed at every start:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/trainer/connectors/callback_connector.py#L192
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    if not any(isinstance(known, _WithoutTips) for known in logger.filters):
        logger.addFilter(_WithoutTips())
    # four lines at each conversion to ONNX, about operations of a package that no model here uses:
    # https://github.com/pytorch/pytorch/blob/v2.11.0/torch/onnx/_internal/exporter/_registration.py
    # by a filter, since torch sets the levels when it is imported
    logging.getLogger("torch.onnx._internal.exporter._registration").addFilter(_never)
