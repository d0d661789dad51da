"""Tracked objects, their refresh, state recovery and pending operations."""
