"""Measurements, each against a floor in the same run. Quoted are ratios; the machine's speed drifts."""
