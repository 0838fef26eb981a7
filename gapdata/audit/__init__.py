"""Checks of a finished build, and how far an unfinished one is."""
