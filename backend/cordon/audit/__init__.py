"""The hash-chained log of decisions and reads."""
