"""Read recipes, TOML files, into typed dataclasses, and find the recipes and category lists of this package."""
