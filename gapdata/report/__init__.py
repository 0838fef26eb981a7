"""One HTML file that shows what a build holds: its figures, its losses, its views, and the views that look worst."""
