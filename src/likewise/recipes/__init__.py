"""What recipes of one area share: the same data, views, optimiser and length, so that methods can be compared."""
