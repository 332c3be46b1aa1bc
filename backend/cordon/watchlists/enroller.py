"""Enrolment with a model pack. Only jobs and the command line import this: the web side loads no weights."""

from __future__ import annotations

import threading

from cordon.vision.enrol import EnrolledReference, ReferenceRefused, enrol_reference
from cordon.vision.images import ImageRefused
from cordon.vision.packs import Pack, load_pack
from cordon.watchlists.service import PictureRefused


class PackEnroller:
    """Loads its pack when the first picture comes, unless it is given one."""

    def __init__(self, name: str | None, loaded: Pack | None = None) -> None:
        self._name = name
        self._loaded = loaded
        self._lock = threading.Lock()

    @property
    def pack_label(self) -> str:
        return self._pack().label

    def enrol(self, picture: bytes) -> EnrolledReference:
        try:
            return enrol_reference(self._pack(), picture)
        except (ReferenceRefused, ImageRefused) as refused:
            raise PictureRefused(refused.sentence) from refused

    def _pack(self) -> Pack:
        with self._lock:
            if self._loaded is None:
                self._loaded = load_pack(self._name)
            return self._loaded
