"""What every process needs, whatever it does: cores, locks, Ray, and words for its user. Knows nothing of scans."""
