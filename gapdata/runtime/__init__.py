"""What every process needs, whatever it does: cores, memory, locks, signals, Ray, progress and messages."""
