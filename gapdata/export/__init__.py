"""A finished build as the files of somebody else's training code."""
