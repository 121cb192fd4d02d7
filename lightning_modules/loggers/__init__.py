"""Loggers: scalars, audio and pictures of a run as CSV, in Weights & Biases and in TensorBoard."""
