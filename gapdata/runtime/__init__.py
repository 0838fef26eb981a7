"""Serve every process: cores, memory, locks, signals, Ray, progress and messages."""
