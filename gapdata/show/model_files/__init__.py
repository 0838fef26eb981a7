"""The shown room as PLY and GLB files for other programs."""
