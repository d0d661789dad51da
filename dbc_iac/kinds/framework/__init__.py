"""Common parts of all kinds."""
