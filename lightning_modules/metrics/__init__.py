"""Metrics: `functional` holds the formulas, the classes accumulate them over an epoch."""
