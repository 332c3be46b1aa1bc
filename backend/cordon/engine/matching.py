"""From frames to hits: detect, track, judge the view, embed, search, confirm. Whoever does not match stays in memory
for the seconds of their track, and is a number afterwards."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cordon.engine.backend import MatchingOrder, stamp
from cordon.engine.frames import Frame
from cordon.index.watchlist_index import Match, WatchlistIndex
from cordon.vision.enrol import with_margin
from cordon.vision.faces import Detections, Detector
from cordon.vision.fusion import Chosen, agreeing, choose_view, confirmed, worth_a_look
from cordon.vision.images import encode_jpeg
from cordon.vision.packs import Pack
from cordon.vision.quality import PROBE_LEAST_SHARPNESS, FaceQuality, assess, why_not_comparable
from cordon.vision.redact import every_face, pixelate_bystanders
from cordon.vision.track import Track, Tracker

log = logging.getLogger(__name__)

_In = TypeVar("_In")
_Out = TypeVar("_Out")

DETECTION_SCORE = 0.6
PROBE_PX, CONTEXT_PX, VIEW_PX = 240, 960, 112
PROBE_MARGIN = 0.45


@dataclass
class View:
    """One embedded view of a track: its template (D,), its aligned crop, where it was in its frame. The whole frame is
    kept of the track's best view only: a dozen of each track would be gigabytes."""

    template: NDArray[np.float32]
    quality: FaceQuality
    crop: NDArray[np.uint8]
    box: NDArray[np.float32]
    frame: Frame | None


@dataclass
class TrackViews:
    """What is remembered of a track while it lives."""

    views: list[View] = field(default_factory=list)
    chosen: Chosen = field(default_factory=Chosen)
    hits: set[str] = field(default_factory=set)

    def take(self, view: View) -> None:
        """Of the frames, the best view's and the newest's are kept until the next view comes."""
        best = max(self.views, key=lambda one: one.quality.weight, default=None)
        for held in self.views:
            if held is not best:
                held.frame = None
        self.views.append(view)


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
    backend's time, as the frames' capture times are; `workers`: frames that are looked at side by side, each network on
    one thread: two frames on two threads take less time than one after the other on both (2.4 against 2.9 ms a 640 × 384
    detection on two cores)."""

    def __init__(
        self,
        pack: Pack,
        submit: Callable[[dict[str, Any], MatchingOrder], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        workers: int = 1,
    ) -> None:
        self._pack = pack
        self._now = now
        self._submit = submit
        self._workers = workers
        self._cameras: dict[tuple[str, str], CameraMatcher] = {}
        self._detectors: dict[int, Detector] = {}
        self._matched: frozenset[str] = frozenset()
        self._pool = ThreadPoolExecutor(workers, "look")
        # Hits are described behind the matching: to find every bystander takes longer than to match a frame.
        self._describing = ThreadPoolExecutor(1, "describe")

    def match_round(
        self,
        frames: Sequence[Frame],
        orders: Mapping[str, MatchingOrder],
        indexes: Mapping[str, WatchlistIndex],
        on_faces: Callable[[str, int, list[float]], None],
    ) -> None:
        """Of each camera any number of frames, in the order in which they were taken. `on_faces` is told, for each, the
        camera, how many faces its tracks have counted anew, and their widths in pixels. Frames of deployments that are
        not in `orders` are dropped unseen, and what is still known of those deployments is forgotten."""
        self._matched = frozenset(orders)
        for key in [key for key in self._cameras if key[0] not in orders]:
            del self._cameras[key]
        looked_at = [(frame, orders[frame.deployment_id]) for frame in frames if frame.deployment_id in orders]
        for _, order in looked_at:
            self._prepare_detector(order.minimum_face_px)
        probes: list[Probe] = []
        for (frame, order), found in zip(looked_at, self._each(self._detect, looked_at), strict=True):
            camera = self._cameras.setdefault((frame.deployment_id, frame.camera_id), CameraMatcher())
            before = camera.tracker.faces_seen
            tracks = camera.tracker.update(found, frame.captured_at)
            probes += self._worth_embedding(frame, found, tracks, order)
            widths = [float(box[2] - box[0]) for box in found.boxes]
            on_faces(frame.camera_id, camera.tracker.faces_seen - before, widths)
        if probes:
            self._search(probes, orders, indexes)

    def finish(self) -> None:
        """Waits until every hit that was found is described and submitted. Nothing can be matched afterwards."""
        self._pool.shutdown()
        self._describing.shutdown()

    def _each(self, work: Callable[[_In], _Out], given: Sequence[_In]) -> Iterable[_Out]:
        return map(work, given) if len(given) < 2 or self._workers < 2 else self._pool.map(work, given)

    def _detect(self, looked_at: tuple[Frame, MatchingOrder]) -> Detections:
        frame, order = looked_at
        return self._detectors[order.minimum_face_px].detect(frame.image)

    def _prepare_detector(self, minimum_face_px: int) -> None:
        if minimum_face_px not in self._detectors:
            self._detectors[minimum_face_px] = self._pack.detector.accepting(
                smallest_face_px=minimum_face_px, score=DETECTION_SCORE
            )

    def _worth_embedding(
        self, frame: Frame, found: Detections, tracks: Sequence[Track], order: MatchingOrder
    ) -> list[Probe]:
        probes = []
        for number, track in enumerate(tracks):
            memory = track.memory.setdefault("views", TrackViews())
            if not isinstance(memory, TrackViews) or memory.hits:
                continue
            box, points, score = found.boxes[number], found.landmarks[number], float(found.scores[number])
            if box[2] - box[0] < order.minimum_face_px:
                continue
            if not worth_a_look(memory.chosen, frame.captured_at):
                continue
            memory.chosen = memory.chosen.after_a_look(frame.captured_at)
            crop = self._pack.embedder.align(frame.image, points[None])[0]
            quality = assess(crop, box, points, score)
            if why_not_comparable(quality, least_face_px=order.minimum_face_px, least_sharpness=PROBE_LEAST_SHARPNESS):
                continue
            if not choose_view(memory.chosen, quality.weight, frame.captured_at):
                continue
            memory.chosen = memory.chosen.with_view(quality.weight, frame.captured_at)
            probes.append(Probe(memory, track, frame, crop, box, quality))
        return probes

    def _search(
        self,
        probes: Sequence[Probe],
        orders: Mapping[str, MatchingOrder],
        indexes: Mapping[str, WatchlistIndex],
    ) -> None:
        shares = np.array_split(np.stack([probe.crop for probe in probes]), min(self._workers, len(probes)))
        templates = np.concatenate([*self._each(self._pack.embedder.embed_crops, shares)])
        of_deployment: dict[str, list[Probe]] = {}
        for probe, template in zip(probes, templates, strict=True):
            if probe.frame.deployment_id in indexes and np.isfinite(template).all():
                probe.memory.take(View(template, probe.quality, probe.crop, probe.box, probe.frame))
                of_deployment.setdefault(probe.frame.deployment_id, []).append(probe)
        for deployment_id, theirs in of_deployment.items():
            self._confirm(theirs, indexes[deployment_id], orders[deployment_id])

    def _confirm(self, probes: Sequence[Probe], index: WatchlistIndex, order: MatchingOrder) -> None:
        """A hit needs two different views of a track on the same entry (`cordon.vision.fusion`). `index` answers from
        SUPPORT below the threshold on: what the newest view does not come near alone, it confirms with no other."""
        newest = np.stack([probe.memory.views[-1].template for probe in probes])
        for probe, matches in zip(probes, index.search(newest), strict=True):
            if not matches or probe.memory.hits:
                continue
            views = probe.memory.views
            templates = np.stack([view.template for view in views])
            found: list[tuple[float, str, NDArray[np.float32]]] = []
            for match in matches:
                cosines = index.cosines(match.entry_id, templates)
                score = confirmed(cosines, templates, order.threshold, agree=order.agree)
                if score is not None:
                    found.append((score, match.entry_id, cosines))
            if found:
                score, entry_id, cosines = max(found, key=lambda one: one[0])
                self._hit(probe, Match(entry_id, score), cosines, agreeing(cosines, templates, order.threshold), order)

    def _hit(self, probe: Probe, match: Match, cosines: NDArray[np.float32], agreed: int, order: MatchingOrder) -> None:
        probe.memory.hits.add(match.entry_id)
        camera = self._cameras[probe.frame.deployment_id, probe.frame.camera_id]
        last = camera.alerted.get(match.entry_id)
        now = probe.frame.captured_at
        # A person who stands in view starts new tracks: they are told of at most every few seconds, and merged there.
        if last is None or (now - last).total_seconds() >= min(order.re_alert_s, 5.0):
            camera.alerted[match.entry_id] = now
            likest = [probe.memory.views[row] for row in np.argsort(-cosines, kind="stable")]
            self._describing.submit(self._write, probe, match, likest, agreed, self._now(), order)
        # Nothing but the verdict is needed from here on: the pictures go now, not when the track ends.
        probe.memory.views = []

    def _write(
        self,
        probe: Probe,
        match: Match,
        views: Sequence[View],
        agreed: int,
        detected_at: datetime,
        order: MatchingOrder,
    ) -> None:
        # Withdrawn meanwhile: its pictures are let go unseen.
        if order.deployment_id not in self._matched:
            return
        try:
            self._submit(self._described(probe, match, views, agreed, detected_at, order), order)
        except Exception:
            # What broke is logged without its content; the next hit must still be described.
            log.exception("a hit could not be described")

    def _described(
        self,
        probe: Probe,
        match: Match,
        views: Sequence[View],
        agreed: int,
        detected_at: datetime,
        order: MatchingOrder,
    ) -> dict[str, Any]:
        best, frame = next((view, view.frame) for view in views if view.frame is not None)
        faces = every_face(frame.image, self._pack.detector, longest_side=CONTEXT_PX)
        redacted = pixelate_bystanders(frame.image, best.box, faces)
        return {
            "hit_id": str(uuid.uuid4()),
            "deployment_id": order.deployment_id,
            "camera_id": probe.frame.camera_id,
            "entry_id": match.entry_id,
            "pack": self._pack.label,
            "score": match.cosine,
            "threshold": order.threshold,
            "captured_at": stamp(probe.frame.captured_at),
            "detected_at": stamp(detected_at),
            "track": {
                "frames": probe.track.detections,
                "agreeing": agreed,
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
            "views": [
                encode_jpeg(view.crop, longest_side=VIEW_PX, quality=90)
                for view in [one for one in views if one is not best][:2]
            ],
        }
