"""Contracts only. Import from the modules: some of them need torch, and listing methods must not."""
