"""Searching a watchlist: Annoy proposes, exact arithmetic disposes. A library on arrays, in memory only."""
