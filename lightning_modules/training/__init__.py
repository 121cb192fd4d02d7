"""How a run goes on: its record, checkpoints, resuming, interruption, progress."""
