"""Which frames make a view, and at which size they are stored."""
