"""Scores as pure functions of predictions: one module per task, and the exact overlap of oriented boxes."""
