"""The parts of ``benchmarks/scale.py``: graphs that are locally the same at every size, and measurements on them."""
