"""Authorised deployments: terms, signature, window, zone, cameras, state machine."""
