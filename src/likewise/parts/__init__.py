"""Small modules that methods are composed of. Importing this package makes those that recipes name known."""

from likewise.parts import communities, encoders, optimizers, schedules

__all__ = ["communities", "encoders", "optimizers", "schedules"]
