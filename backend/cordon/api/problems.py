"""Every error leaves as problem+json (RFC 9457): a code for programs and one sentence for the person."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, json
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from cordon.platform.errors import Refusal

log = logging.getLogger(__name__)

SENTENCES = {
    400: "The request could not be read.",
    404: "There is nothing here.",
    405: "This cannot be done here.",
    413: "This is too large.",
    415: "This kind of content is not taken here.",
    422: "Some of the values are not right.",
    429: "Too many requests: wait a little.",
}


def problem(status: int, code: str, detail: str, errors: Any = None) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:cordon:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = errors
    response = Response(json.dumps(body), status=status, mimetype="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    return response


def register_problems(app: Flask) -> None:
    @app.errorhandler(Refusal)
    def refused(error: Refusal) -> Response:
        return problem(error.status, error.code, error.sentence)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        data = getattr(error, "data", None) or {}
        sentence = SENTENCES.get(status, error.description or "This could not be done.")
        return problem(status, "invalid" if status == 422 else f"http_{status}", sentence, data.get("messages"))

    @app.errorhandler(DBAPIError)
    def database_error(error: DBAPIError) -> Response:
        # The statement's values may be personal data: only the kind of fault is logged.
        log.error("database fault", extra={"fields": {"fault": type(error.orig).__name__}})
        return problem(503, "database", "The database did not answer. Nothing was changed: try again.")

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.error("unforeseen fault", exc_info=error)
        return problem(500, "fault", "Something went wrong here. It was noted, and nothing was changed.")
