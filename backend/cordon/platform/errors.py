"""Refusals: what Cordon will not do, in a sentence for the person who asked."""

from __future__ import annotations


class Refusal(Exception):
    """A request that Cordon understands and refuses.

    `code` is stable and for programs; `sentence` is for the person; `status` is the HTTP answer.
    """

    status = 409

    def __init__(self, code: str, sentence: str, *, status: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        if status is not None:
            self.status = status


class NotFound(Refusal):
    """Also answered where the thing exists but this person may not know of it."""

    status = 404

    def __init__(self, what: str) -> None:
        super().__init__("not_found", f"There is no such {what}.")


class Invalid(Refusal):
    status = 422


class NotAllowed(Refusal):
    status = 403
