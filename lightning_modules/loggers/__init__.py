"""Loggers: scalars, audio and pictures of a run as CSV and in Weights & Biases."""
