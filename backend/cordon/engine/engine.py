"""The engine as a whole: a heartbeat that asks what it may do, readers for the cameras it may open, and the matching."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2

from cordon.engine.backend import Backend, BackendSilent, MatchingOrder
from cordon.engine.cameras import CameraHealth, CameraReader
from cordon.engine.frames import FrameQueue
from cordon.engine.ingest import start_ingest
from cordon.engine.matching import Matcher
from cordon.engine.permission import Permission
from cordon.engine.settings import EngineSettings
from cordon.engine.spool import Spool
from cordon.index.memory import forbid_core_dumps
from cordon.index.watchlist_index import WatchlistIndex
from cordon.vision.fusion import SUPPORT
from cordon.vision.packs import Pack, load_pack

log = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 0.5
RECONCILE_EVERY_S = 0.1
ROUND_WAIT_S = 0.1
DRAIN_S = 5.0
_Indexes = dict[str, tuple[int, WatchlistIndex]]


class Engine:
    def __init__(self, settings: EngineSettings, pack: Pack) -> None:
        self._settings = settings
        self._pack = pack
        self._run_id = uuid.uuid4().hex
        self._backend = Backend(settings.backend_url, settings.token)
        self._permission = Permission()
        self._frames = FrameQueue()
        self._readers: dict[str, CameraReader] = {}
        self._health: dict[str, CameraHealth] = {}
        # Counts of cameras that were closed: they go on where they stopped if the camera is opened again in this run.
        self._closed: dict[str, CameraHealth] = {}
        self._indexes: _Indexes = {}
        self._spool_keys: dict[str, bytes] = {}
        self._spool = Spool(settings.spool, lambda: dict(self._spool_keys), self._backend.send_hit)
        self._matcher = Matcher(
            pack,
            lambda hit, order: self._spool.submit(hit, order.spool_key),
            self._permission.now,
            workers=settings.threads,
        )
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Until `stop`. Drains the spool for a few seconds at the end; what is left waits on disk, sealed."""
        forbid_core_dumps()
        # Frames are looked at side by side: OpenCV's own threads would only wait for cores that are busy with the next.
        cv2.setNumThreads(1)
        ingest = start_ingest(self._settings.ingest_bind, self._reader_of)
        threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("heartbeat", self._beat),
                ("reconcile", self._reconcile_forever),
                ("watchlists", self._refresh_forever),
                ("certificates", self._certify_forever),
                ("spool", lambda: self._spool.send_forever(self._stop)),
            )
        ]
        for thread in threads:
            thread.start()
        while not self._stop.is_set():
            self._match_one_round()
        for reader in list(self._readers.values()):
            reader.stop()
        ingest.shutdown()
        self._matcher.finish()
        deadline = time.monotonic() + DRAIN_S
        while self._spool.send_waiting() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _match_one_round(self) -> None:
        frames = self._frames.take_round(ROUND_WAIT_S)
        # Asked for each round, after the frames were taken: what was withdrawn meanwhile is not looked at.
        orders = self._permission.orders()
        indexes = {deployment_id: index for deployment_id, (_, index) in dict(self._indexes).items()}
        ready = {deployment_id: order for deployment_id, order in orders.items() if deployment_id in indexes}
        try:
            self._matcher.match_round(frames, ready, indexes, self._count)
        except Exception:
            # One frame that breaks a model must not end a deployment. What broke is logged without its content.
            log.exception("a round of frames could not be matched")

    def _count(self, camera_id: str, faces: int, widths: list[float]) -> None:
        health = self._health.get(camera_id)
        if health is not None:
            health.faces_seen += faces
            health.face_widths.extend(widths)

    def _beat(self) -> None:
        silent = False
        while not self._stop.is_set():
            asked_at = time.monotonic()
            try:
                self._permission.renew(self._backend.heartbeat(self._report()), asked_at)
                if silent:
                    log.info("the backend answers again")
                silent = False
            except BackendSilent as error:
                if not silent:
                    log.warning("the backend is silent: matching stops", extra={"fields": {"error": str(error)}})
                silent = True
            except Exception:
                # Without a renewal matching stops by itself; this thread must live to ask again.
                log.exception("a heartbeat could not be made")
            self._stop.wait(max(0.0, HEARTBEAT_EVERY_S - (time.monotonic() - asked_at)))

    def _report(self) -> dict[str, Any]:
        manifest = self._pack.manifest
        return {
            "engine_id": self._settings.engine_id,
            "run_id": self._run_id,
            "pack": {
                "name": manifest.name,
                "version": manifest.version,
                "dimension": manifest.dimension,
                "licence_scope": manifest.licence_scope,
            },
            "indexes": [
                {"deployment_id": deployment_id, **index.report()}
                for deployment_id, (_, index) in list(self._indexes.items())
            ],
            "cameras": [
                health.report(camera_id, self._frames.dropped(camera_id))
                for camera_id, health in list(self._health.items())
            ],
        }

    def _reconcile_forever(self) -> None:
        while not self._stop.wait(RECONCILE_EVERY_S):
            orders = self._permission.orders()
            self._reconcile_cameras(orders)
            for deployment_id in set(self._indexes) - set(orders):
                dropped = self._indexes.pop(deployment_id, None)
                if dropped is not None:
                    dropped[1].close()
                    log.info("index dropped", extra={"fields": {"deployment": deployment_id}})
            for order in orders.values():
                self._spool_keys[order.deployment_id] = order.spool_key

    def _refresh_forever(self) -> None:
        """Apart from reconciling: fetching and certifying a long list must not delay the closing of a camera."""
        while not self._stop.wait(RECONCILE_EVERY_S):
            for order in self._permission.orders().values():
                try:
                    self._refresh_index(order)
                except Exception:
                    log.exception("a watchlist could not be taken in")

    def _reconcile_cameras(self, orders: dict[str, MatchingOrder]) -> None:
        wanted = {camera.camera_id: (order, camera) for order in orders.values() for camera in order.cameras}
        for camera_id in set(self._readers) - set(wanted):
            self._readers.pop(camera_id).stop()
            self._closed[camera_id] = self._health.pop(camera_id)
        for camera_id, (order, camera) in wanted.items():
            if camera_id not in self._readers:
                health = self._closed.pop(camera_id, None) or CameraHealth(order.deployment_id)
                self._health[camera_id] = health
                self._readers[camera_id] = CameraReader(
                    order.deployment_id, camera, self._frames, health, self._clock_offset
                )

    def _refresh_index(self, order: MatchingOrder) -> None:
        held = self._indexes.get(order.deployment_id)
        if held is not None and held[0] == order.watchlist_revision:
            return
        try:
            revision, pack, entries = self._backend.watchlist(order.deployment_id)
        except BackendSilent as error:
            log.warning("the watchlist could not be fetched", extra={"fields": {"error": str(error)}})
            return
        if pack not in {None, self._pack.label}:
            log.error("the watchlist was made with another model pack: nothing is matched with it")
            entries = {}
        searched_from = order.threshold - SUPPORT
        index = None if held is None or held[1].threshold != searched_from else held[1]
        if index is None:
            index = WatchlistIndex(self._pack.embedder.dimension, searched_from)
        # Exact at once, so that a removal does not wait for a certificate; then certified behind the searches.
        index.update(entries)
        if self._permission.order(order.deployment_id) is None:
            index.close()
            return
        self._indexes[order.deployment_id] = (revision, index)
        fields = {"deployment": order.deployment_id, "revision": revision, "entries": len(index)}
        log.info("index ready", extra={"fields": fields})

    def _certify_forever(self) -> None:
        """In a thread of its own: the next revision must not wait until the certificate of this one is made."""
        while not self._stop.wait(RECONCILE_EVERY_S):
            for deployment_id, (_, index) in list(self._indexes.items()):
                if not index.wants_rebuild:
                    continue
                try:
                    index.rebuild()
                except Exception:
                    log.exception("an index could not be certified: it is searched exactly")
                made = index.certificate
                fields = {"deployment": deployment_id, "engine": made.engine, "reason": made.reason}
                log.info("index certified", extra={"fields": fields})

    def _reader_of(self, camera_id: str) -> CameraReader | None:
        return self._readers.get(camera_id)

    def _clock_offset(self) -> timedelta:
        return self._permission.now() - datetime.now(UTC)


def run_engine(settings: EngineSettings) -> Engine:
    """The engine, with its pack loaded; `run` it."""
    return Engine(settings, load_pack(settings.pack))
