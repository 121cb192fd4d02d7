"""Arithmetic that networks and losses share: precision, processes, averages, operation counts."""
