"""Measurements, each compared with a floor in the same run. Only ratios are quoted, because the machine's speed
varies."""
