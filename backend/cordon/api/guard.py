"""The door every request of a person goes through: session, CSRF, permission and deployment, in one transaction.

A view under /api that is neither guarded nor marked as open is refused to everybody (see `deny_unmarked`).
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, request

from cordon.deployments import service as deployments
from cordon.deployments.model import Deployment
from cordon.people import service as people
from cordon.people.model import Actor
from cordon.platform.errors import NotAllowed, Refusal
from cordon.platform.installation import Installation, UnitOfWork

COOKIE = "cordon_session"
CSRF_HEADER = "X-CSRF-Token"
_READING = frozenset({"GET", "HEAD"})

View = TypeVar("View", bound=Callable[..., Any])


class NotSignedIn(Refusal):
    status = 401

    def __init__(self) -> None:
        super().__init__("not_signed_in", "Sign in first: your session is over.")


@dataclass(frozen=True)
class Call:
    """What a guarded view is given: its transaction, the person, and the deployment that the address names."""

    work: UnitOfWork
    actor: Actor
    _deployment: Deployment | None

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise NotAllowed("not_allowed", "This address names no deployment.")
        return self._deployment


def installation() -> Installation:
    found: Installation = current_app.extensions["cordon"]
    return found


def guarded(permission: str, *, records: bool = False) -> Callable[[View], View]:
    """`records`: a read that is itself recorded in the audit, and so needs a transaction that is kept."""

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            reading = request.method in _READING
            here = installation()
            with here.read() if reading and not records else here.write() as work:
                actor = signed_in(work, check_csrf=not reading)
                deployment = None
                member = False
                deployment_id = kwargs.pop("deployment_id", None)
                if deployment_id is not None:
                    deployment = deployments.find(work, deployment_id, lock=not reading)
                    member = deployment.has_member(actor.user_id)
                people.permit(actor, permission, member=member or deployment is None)
                return view(Call(work, actor, deployment), *args, **kwargs)

        inner.__dict__["permission"] = permission
        return inner  # type: ignore[return-value]

    return wrap


def open_to_all(view: View) -> View:
    """Marks a view that needs no session, on purpose."""
    view.__dict__["permission"] = "open"
    return view


def for_engines(view: View) -> View:
    """A view for engines only: the first argument is the engine's name."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        with installation().read() as work:
            name = people.engine_named_by(work, token) if scheme == "Bearer" and token else None
        if name is None:
            raise Refusal("engine_unknown", "This engine has no valid credential.", status=401)
        return view(name, *args, **kwargs)

    inner.__dict__["permission"] = "engine"
    return inner  # type: ignore[return-value]


def signed_in(work: UnitOfWork, *, check_csrf: bool) -> Actor:
    """Raises NotSignedIn, or NotAllowed where a mutation does not come from our own page."""
    found = people.session_of(work, request.cookies.get(COOKIE, ""))
    if found is None:
        raise NotSignedIn
    actor, session = found
    if check_csrf:
        check_origin()
        if not hmac.compare_digest(request.headers.get(CSRF_HEADER, ""), session.csrf_token):
            raise NotAllowed("csrf", "This request did not come from Cordon's own page.")
    return actor


def check_origin() -> None:
    origin = request.headers.get("Origin")
    allowed = {urlsplit(installation().settings.public_url).netloc, request.host}
    if origin is not None and urlsplit(origin).netloc not in allowed:
        raise NotAllowed("origin", "This request came from another site.")


def deny_unmarked(app: Flask) -> None:
    @app.before_request
    def check() -> None:
        if request.endpoint is None or not request.path.startswith(("/api/", "/media/")):
            return
        view = app.view_functions[request.endpoint]
        if not getattr(view, "permission", None):
            raise NotAllowed("not_allowed", "Nobody may do this.")
