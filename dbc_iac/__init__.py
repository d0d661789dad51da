"""Declarative infrastructure for DeepBrainChain GPU rentals."""
