"""Progress bars: a live one in a terminal, plain lines elsewhere."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar


def progress_bar() -> pl.callbacks.ProgressBar:
    """The bar that suits where standard output goes."""
    return RichProgressBar()
