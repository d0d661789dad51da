"""Bare-metal servers, their managers, and rented instances."""
