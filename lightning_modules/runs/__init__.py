"""Run folders: what they hold, and how a run is continued."""
