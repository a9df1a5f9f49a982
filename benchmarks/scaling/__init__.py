"""The parts of ``benchmarks/scale.py``: a shape that is locally the same at every size, and what is measured on it."""
