"""The built web app, and the headers under which it runs."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request, send_from_directory

from cordon.api.guard import installation
from cordon.api.problems import problem

blueprint = Blueprint("web", __name__)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@blueprint.get("/")
@blueprint.get("/<path:path>")
def page(path: str = "") -> Response:
    """A built file, or the app's first page, which finds its own way to the screen that the address names."""
    root = installation().settings.web_root
    if path.startswith(("api/", "media/", "socket.io/")):
        return problem(404, "not_found", "There is nothing here.")
    if not (root / "index.html").is_file():
        return problem(503, "web_app_missing", "The web app has not been built. Run: make web")
    if path and (root / path).is_file():
        response = send_from_directory(root, path)
        immutable = path.startswith("assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        return response
    response = send_from_directory(root, "index.html")
    response.headers["Cache-Control"] = "no-cache"
    return response


def set_headers(app: Flask) -> None:
    @app.after_request
    def headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Permissions-Policy"] = "geolocation=(self), camera=(), microphone=()"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if installation().settings.secure_cookies:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
