"""Evaluation of spatial questions is tested on the rooms that the questions are tested on."""

from tests.tasks.spatial.conftest import spatial_build as spatial_build
