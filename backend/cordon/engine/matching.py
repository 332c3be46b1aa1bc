"""From frames to hits: detect, track, judge the view, embed, search, confirm. Whoever does not match stays in memory
for the seconds of their track, and is a number afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.engine.backend import MatchingOrder, stamp
from cordon.engine.frames import Frame
from cordon.index.watchlist_index import Match, WatchlistIndex
from cordon.vision.enrol import with_margin
from cordon.vision.faces import Detections, Detector
from cordon.vision.images import encode_jpeg
from cordon.vision.packs import Pack
from cordon.vision.quality import PROBE_LEAST_SHARPNESS, FaceQuality, assess, why_not_comparable
from cordon.vision.redact import every_face, pixelate_bystanders
from cordon.vision.track import Track, Tracker

# Views that are embedded before a track rests; after that, only a clearly better view is worth another embedding.
VIEWS_AT_FIRST = 4
BETTER_VIEW = 1.15
MOST_VIEWS = 12
PROBE_PX, CONTEXT_PX, VIEW_PX = 240, 960, 112
PROBE_MARGIN = 0.45


@dataclass(frozen=True)
class View:
    """One embedded view of a track: its template (D,), what the index said of it, and the picture it was taken from."""

    template: NDArray[np.float32]
    quality: FaceQuality
    matches: dict[str, float]
    crop: NDArray[np.uint8]
    box: NDArray[np.float32]
    frame: Frame


@dataclass
class TrackViews:
    """What is remembered of a track while it lives."""

    views: list[View] = field(default_factory=list)
    embedded: int = 0
    best_weight: float = 0.0
    hits: set[str] = field(default_factory=set)


@dataclass
class Probe:
    """A view that is to be embedded in this round."""

    memory: TrackViews
    track: Track
    frame: Frame
    crop: NDArray[np.uint8]
    box: NDArray[np.float32]
    quality: FaceQuality


@dataclass
class CameraMatcher:
    """One camera in one deployment: its tracks, and which entries it raised when."""

    tracker: Tracker = field(default_factory=Tracker)
    alerted: dict[str, datetime] = field(default_factory=dict)


class Matcher:
    """Matches rounds of frames. `submit` takes each hit, with the order under which it was found; `now` is the
    backend's time, as the frames' capture times are."""

    def __init__(
        self,
        pack: Pack,
        submit: Callable[[dict[str, Any], MatchingOrder], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pack = pack
        self._now = now
        self._submit = submit
        self._cameras: dict[tuple[str, str], CameraMatcher] = {}
        self._detectors: dict[int, Detector] = {}

    def match_round(
        self,
        frames: Sequence[Frame],
        orders: dict[str, MatchingOrder],
        indexes: dict[str, WatchlistIndex],
        on_faces: Callable[[str, int, list[float]], None],
    ) -> None:
        """`on_faces` is told, for each frame, the camera, how many faces its tracks have counted anew, and their widths
        in pixels. Frames of deployments that are not in `orders` are dropped unseen."""
        probes: list[Probe] = []
        for frame in frames:
            order = orders.get(frame.deployment_id)
            if order is None:
                continue
            camera = self._cameras.setdefault((frame.deployment_id, frame.camera_id), CameraMatcher())
            before = camera.tracker.faces_seen
            found = self._detector_for(order).detect(frame.image)
            tracks = camera.tracker.update(found, frame.captured_at)
            probes += self._worth_embedding(frame, found, tracks, order)
            widths = [float(box[2] - box[0]) for box in found.boxes]
            on_faces(frame.camera_id, camera.tracker.faces_seen - before, widths)
        self._search(probes, orders, indexes)

    def forget_all_but(self, deployment_ids: set[str]) -> None:
        """Tracks of deployments that may no longer be matched go at once."""
        for key in [key for key in self._cameras if key[0] not in deployment_ids]:
            del self._cameras[key]

    def _detector_for(self, order: MatchingOrder) -> Detector:
        if order.minimum_face_px not in self._detectors:
            self._detectors[order.minimum_face_px] = self._pack.detector.accepting(
                smallest_face_px=order.minimum_face_px, score=0.6
            )
        return self._detectors[order.minimum_face_px]

    def _worth_embedding(
        self, frame: Frame, found: Detections, tracks: Sequence[Track], order: MatchingOrder
    ) -> list[Probe]:
        probes = []
        for number, track in enumerate(tracks):
            memory = track.memory.setdefault("views", TrackViews())
            if not isinstance(memory, TrackViews) or memory.hits or memory.embedded >= MOST_VIEWS:
                continue
            box, points = found.boxes[number], found.landmarks[number]
            if box[2] - box[0] < order.minimum_face_px:
                continue
            crop = self._pack.embedder.align(frame.image, points[None])[0]
            quality = assess(crop, box, points, float(found.scores[number]))
            if why_not_comparable(quality, least_face_px=order.minimum_face_px, least_sharpness=PROBE_LEAST_SHARPNESS):
                continue
            if memory.embedded >= VIEWS_AT_FIRST and quality.weight < BETTER_VIEW * memory.best_weight:
                continue
            probes.append(Probe(memory, track, frame, crop, box, quality))
        return probes

    def _search(
        self, probes: list[Probe], orders: dict[str, MatchingOrder], indexes: dict[str, WatchlistIndex]
    ) -> None:
        if not probes:
            return
        templates = self._pack.embedder.embed_crops(np.stack([probe.crop for probe in probes]))
        for probe, template in zip(probes, templates, strict=True):
            index, order = indexes.get(probe.frame.deployment_id), orders[probe.frame.deployment_id]
            if index is None or not np.isfinite(template).all():
                continue
            matches = {match.entry_id: match.cosine for match in index.search(template[None])[0]}
            memory = probe.memory
            memory.embedded += 1
            memory.best_weight = max(memory.best_weight, probe.quality.weight)
            memory.views.append(View(template, probe.quality, matches, probe.crop, probe.box, probe.frame))
            memory.views = sorted(memory.views, key=lambda view: -view.quality.weight)[: order.of]
            self._confirm(probe, index, order)

    def _confirm(self, probe: Probe, index: WatchlistIndex, order: MatchingOrder) -> None:
        """A hit needs `agree` of the track's `of` best views on the same entry, and the fused template as well."""
        views = probe.memory.views
        fused = fuse([view.template for view in views], [view.quality.weight for view in views])
        for match in index.search(fused[None])[0]:
            agreeing = sum(match.entry_id in view.matches for view in views)
            if agreeing >= order.agree and match.entry_id not in probe.memory.hits:
                self._hit(probe, match, agreeing, order)
                return

    def _hit(self, probe: Probe, match: Match, agreeing: int, order: MatchingOrder) -> None:
        probe.memory.hits.add(match.entry_id)
        camera = self._cameras[probe.frame.deployment_id, probe.frame.camera_id]
        last = camera.alerted.get(match.entry_id)
        now = probe.frame.captured_at
        # A person who stands in view starts new tracks: they are told of at most every few seconds, and merged there.
        if last is not None and (now - last).total_seconds() < min(order.re_alert_s, 5.0):
            return
        camera.alerted[match.entry_id] = now
        self._submit(self._described(probe, match, agreeing, order), order)
        # Nothing but the verdict is needed from here on: the pictures go now, not when the track ends.
        probe.memory.views = []

    def _described(self, probe: Probe, match: Match, agreeing: int, order: MatchingOrder) -> dict[str, Any]:
        views = sorted(
            (view for view in probe.memory.views if match.entry_id in view.matches),
            key=lambda view: -view.matches[match.entry_id],
        )
        best = views[0]
        faces = every_face(best.frame.image, self._pack.detector)
        redacted = pixelate_bystanders(best.frame.image, best.box, faces)
        return {
            "hit_id": str(uuid.uuid4()),
            "deployment_id": order.deployment_id,
            "camera_id": probe.frame.camera_id,
            "entry_id": match.entry_id,
            "pack": self._pack.label,
            "score": match.cosine,
            "threshold": order.threshold,
            "captured_at": stamp(probe.frame.captured_at),
            "detected_at": stamp(self._now()),
            "track": {
                "frames": probe.track.detections,
                "agreeing": agreeing,
                "first_seen_at": stamp(probe.track.first_seen_at),
                "direction": probe.track.direction,
            },
            "quality": {
                "face_px": round(best.quality.face_px, 1),
                "sharpness": round(best.quality.sharpness, 1),
                "yaw_deg": round(best.quality.yaw_deg, 1),
                "detector_score": round(best.quality.detector_score, 3),
            },
            "probe_jpeg": encode_jpeg(with_margin(redacted, best.box, PROBE_MARGIN), longest_side=PROBE_PX, quality=90),
            "context_jpeg": encode_jpeg(redacted, longest_side=CONTEXT_PX, quality=80),
            "views": [encode_jpeg(view.crop, longest_side=VIEW_PX, quality=90) for view in views[1:3]],
        }


def fuse(templates: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """The quality-weighted mean of a track's templates (D,), of length one again."""
    mean = np.average(np.stack(templates), axis=0, weights=np.maximum(weights, 1e-6))
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
