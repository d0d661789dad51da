"""Policies of a project: refusals and warnings on plans. Pure; a plan is their only input.

Imports nothing: the template worker needs `exposure` alone.
"""
