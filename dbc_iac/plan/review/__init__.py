"""Comparison of a plan with an earlier one or with drifted infrastructure."""
