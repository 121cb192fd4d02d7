"""Where a run's scalars, audio and pictures go."""
