"""Hits become alerts; adjudication, claim, engagement and outcome."""
