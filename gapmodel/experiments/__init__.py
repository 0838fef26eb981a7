"""Experiments that answer a question about the method."""
