"""Methods that restore pictures."""
