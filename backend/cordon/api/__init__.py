"""The Flask application: routes, errors, OpenAPI, sessions, health."""
