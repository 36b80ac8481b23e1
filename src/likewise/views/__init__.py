"""Views: batched augmentations on the device, drawn per sample. Import from the modules."""
