"""`mini`, the embedded release: public-domain piano music, played and rendered by code when first needed."""

from datamodules.mini.release import MINI_PERFORMANCES, MINI_VERSION, render_mini, write_mini_midi

__all__ = ["MINI_PERFORMANCES", "MINI_VERSION", "render_mini", "write_mini_midi"]
