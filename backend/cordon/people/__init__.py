"""Users, roles, sign-in, duty and last position."""
