"""Deadlines, purge and the proof of deletion."""
