"""Warnings of libraries that a user can do nothing about, silenced one by one, each with its reason."""

import logging
import warnings


class _WithoutTips(logging.Filter):
    """Drops Lightning's advertisements."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Tip: For seamless cloud" not in record.getMessage()


def silence_known_warnings() -> None:
    """Install the filters below; safe to call more than once."""
    # advertisements for litlogger and litmodels at every start:
    # https://github.com/Lightning-AI/pytorch-lightning/blob/2.6.6/src/lightning/pytorch/trainer/connectors/callback_connector.py#L172
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    if not any(isinstance(known, _WithoutTips) for known in logger.filters):
        logger.addFilter(_WithoutTips())
    for message, category in _MESSAGES:
        warnings.filterwarnings("ignore", message=message, category=category)


_MESSAGES = (
    # the number of workers is a choice of the data module, which measured it
    (r".*does not have many workers which may be a bottleneck", UserWarning),
)
