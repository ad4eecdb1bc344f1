"""Honest floors: what a result must beat, computed on the same split."""
