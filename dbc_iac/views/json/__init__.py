"""JSON output and its schemas."""
