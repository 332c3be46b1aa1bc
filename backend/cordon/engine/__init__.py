"""The engine: cameras in, hits out. It talks to the backend by HTTP alone, and keeps nobody who did not match."""
