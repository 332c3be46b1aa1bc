"""The public notice and the deployment record."""
