"""Policies: what a project refuses, or warns of, in plans that are otherwise sound. Pure; decided from a plan alone.

Imports nothing: the template worker needs `exposure` alone.
"""
