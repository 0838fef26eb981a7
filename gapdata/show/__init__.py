"""Show a record or a whole scene: a sheet of pictures, a cloud or model file, or an interactive window."""
