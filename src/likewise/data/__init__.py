"""Sources, the user's own data, samplers. Import from the modules: most need torch, and listing sources must not."""
