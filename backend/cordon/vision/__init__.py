"""Seeing: packs, detection, alignment, quality, embedding, tracks. A library on arrays: it knows no web, no database."""
