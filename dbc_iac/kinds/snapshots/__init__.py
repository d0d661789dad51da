"""Snapshot: a VM's snapshot, and its upload to an image server."""
