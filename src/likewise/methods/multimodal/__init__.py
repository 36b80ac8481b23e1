"""Methods for several modalities of the same samples, one file each."""
