"""Matterport3D as EmbodiedScan uses it: the stills of each region of a house (``--matterport3d``)."""
