"""Checkpoints: what they say of themselves, and files that are there as a whole or not at all."""
