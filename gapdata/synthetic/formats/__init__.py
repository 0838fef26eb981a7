"""Write synthetic rooms in the formats of other data sets and captures, with their real traps."""
