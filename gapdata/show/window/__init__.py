"""Open3D's window, driven by keys."""
