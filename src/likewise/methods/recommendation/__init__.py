"""Methods that learn from who took what."""
