"""Quantities that change with training: the weight of the KL term, and who trains at a step."""
