"""Studies: what happens when a setting changes."""
