"""Backends of a state: read, conditional write, lock, and journal."""
