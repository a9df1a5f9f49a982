"""Retention: what may be removed, and the watermark that stays."""
