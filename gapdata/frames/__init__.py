"""Choose the frames of views, and resize them for storage."""
