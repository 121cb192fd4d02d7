"""What to know and to do when training has ended."""

import lightning.pytorch as pl


class RunSummary(pl.Callback):
    """Prints the best figures, where the run is and which commands come next."""
