"""Metrics of frozen features. Import from the modules: the catalogue of metrics needs no torch, the rest does."""
