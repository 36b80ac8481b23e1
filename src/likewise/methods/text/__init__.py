"""Methods that train language models."""
