"""Read captures of ARKitScenes: where their files lie, their clocks, cameras, poses and boxes."""
