"""The loop and what it stands on: runtimes, checkpoints, events."""
