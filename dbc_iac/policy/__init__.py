"""Policies: what a project refuses, or warns of, in plans that are otherwise sound. Pure; decided from a plan alone."""

from dbc_iac.policy.evaluation import evaluate, unsound

__all__ = ["evaluate", "unsound"]
