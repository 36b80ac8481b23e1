"""Methods that learn from a graph: embeddings of its nodes."""
