"""Callbacks: they know the contract in `base` and the Trainer, and nothing of any one model."""
