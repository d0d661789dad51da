"""Checks of manifests and changes that refuse or warn before anything is sent."""
