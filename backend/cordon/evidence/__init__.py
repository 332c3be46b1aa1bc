"""Thumbnails and templates under deployment keys, in the object store."""
