"""Measurements of speed, memory and accuracy; not part of the installed package.

Run from the repository's root: `python -m benchmarks.compare`, `python -m benchmarks.prediction`.
"""
