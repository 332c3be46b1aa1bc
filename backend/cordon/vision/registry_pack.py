"""The `registry` pack: dlib's detector and ResNet from PyPI packages, for machines that reach nothing but registries.

dlib's weights are public domain (CC0). They are neither quick nor calibrated here: this pack serves exercises only,
and every screen says so. dlib compares by Euclidean distance, 0.6 being its usual threshold on vectors whose length is
about 1.45; normalised to length one, that is a cosine of about 0.91, and unlike people still reach 0.93: cosines of
this pack are high throughout. The suggested 0.94 was read off 80 people of LFW with two photographs each: 89 % of the
mates score higher, and none of 6,320 pairs of different people does.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cordon.vision.embedders import normalised
from cordon.vision.faces import Detections
from cordon.vision.packs import Pack, PackManifest, PackUnavailable

DIMENSION = 128
CHIP_PX = 150
CHIP_PADDING = 0.25
# dlib's detector finds faces from 80 pixels on; doubled pictures, from 40.
DOUBLED_BELOW_PX = 900
# Five points of dlib's 68: the eyes' centres, the nose's tip, the mouth's corners.
_EYE_A, _EYE_B, _NOSE, _MOUTH_A, _MOUTH_B = slice(36, 42), slice(42, 48), 30, 48, 54


class DlibDetector:
    def __init__(self, detector: Any, predictor: Any) -> None:
        self._detector = detector
        self._predictor = predictor
        # dlib's objects keep what they work on in themselves: one picture at a time.
        self._lock = threading.Lock()

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        import dlib

        rgb = np.ascontiguousarray(image[..., ::-1])
        upsampled = 1 if max(image.shape[:2]) < DOUBLED_BELOW_PX else 0
        with self._lock:
            rectangles, confidences, _ = self._detector.run(rgb, upsampled, 0.0)
        if not len(rectangles):
            return Detections.none()
        points = []
        for rectangle in rectangles:
            shape = self._predictor(rgb, dlib.rectangle(rectangle))
            every = np.array([[part.x, part.y] for part in shape.parts()], np.float32)
            points.append(
                np.stack([every[_EYE_A].mean(0), every[_EYE_B].mean(0), every[_NOSE], every[_MOUTH_A], every[_MOUTH_B]])
            )
        boxes = np.array([[r.left(), r.top(), r.right(), r.bottom()] for r in rectangles], np.float32)
        # The detector's margin has no upper end: 0 is its threshold, and about 1 is a clear face.
        scores = np.clip(0.75 + np.array(confidences, np.float32) / 4, 0, 1).astype(np.float32)
        order = np.argsort(-scores)
        return Detections(boxes[order], scores[order], np.stack(points)[order])

    def accepting(self, *, smallest_face_px: int, score: float) -> DlibDetector:
        """dlib's detector knows one size and one score."""
        return self


class DlibEmbedder:
    dimension = DIMENSION

    def __init__(self, network: Any) -> None:
        self._network = network
        self._lock = threading.Lock()

    def align(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        from cordon.vision.align import similarity_transform

        crops = np.empty((len(landmarks), CHIP_PX, CHIP_PX, 3), np.uint8)
        for number, points in enumerate(landmarks):
            matrix = similarity_transform(points, _CHIP_TEMPLATE)
            cv2.warpAffine(image, matrix, (CHIP_PX, CHIP_PX), dst=crops[number], flags=cv2.INTER_LINEAR)
        return crops

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(crops):
            return np.zeros((0, DIMENSION), np.float32)
        with self._lock:
            rows = [
                np.asarray(self._network.compute_face_descriptor(np.ascontiguousarray(crop[..., ::-1])))
                for crop in crops
            ]
        return normalised(np.asarray(rows, np.float32))


def manifest() -> PackManifest:
    return PackManifest(
        name="registry",
        version="1",
        dimension=DIMENSION,
        licence="CC0 (dlib face recognition ResNet); for exercises only",
        licence_scope="exercise",
        source="PyPI: dlib-bin, face-recognition-models",
        suggested_threshold=0.94,
        detector="dlib-hog",
        embedder="dlib-resnet",
        files={},
    )


def load() -> Pack:
    """Raises PackUnavailable where the extra `registry-pack` is not installed."""
    try:
        import dlib
    except ImportError as error:
        raise PackUnavailable("The registry pack is not installed: pip install 'cordon[registry-pack]'.") from error
    predictor = dlib.shape_predictor(str(_weights("shape_predictor_68_face_landmarks.dat")))
    network = dlib.face_recognition_model_v1(str(_weights("dlib_face_recognition_resnet_model_v1.dat")))
    return Pack(manifest(), DlibDetector(dlib.get_frontal_face_detector(), predictor), DlibEmbedder(network))


def _weights(name: str) -> Path:
    # Located, not imported: the package's own module needs pkg_resources, which new Pythons no longer carry.
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise PackUnavailable("The registry pack is not installed: pip install 'cordon[registry-pack]'.")
    return Path(found.origin).parent / "models" / name


# The same five points of dlib's mean face (`mean_face_shape_x/y` of its render_face_detections), which fills the chip
# but for a margin of 25 pixels a side: (padding + p) / (1 + 2 padding) × 150.
_CHIP_TEMPLATE = np.array([[47.6, 46.6], [100.5, 46.6], [74.0, 76.6], [50.4, 103.0], [97.6, 103.0]], np.float32)
