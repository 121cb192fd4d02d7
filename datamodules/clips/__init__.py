"""Clips of the cached recordings: which ones, in which order, as batches."""
