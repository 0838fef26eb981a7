"""Captures of ARKitScenes."""
