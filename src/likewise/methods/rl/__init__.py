"""Methods that act and learn from what comes of it."""
