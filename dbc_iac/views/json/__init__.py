"""Machine-readable output and its schemas."""
