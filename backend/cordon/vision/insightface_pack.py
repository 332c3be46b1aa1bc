"""InsightFace packs (`buffalo_l`, `buffalo_sc`, `antelopev2`): SCRFD and ArcFace, through the insightface package.

The folder holds the pack's ONNX files; nothing is downloaded. Their licence is for non-commercial research only, so a
deployment that uses one is a marked exercise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordon.vision.align import align_faces
from cordon.vision.embedders import normalised
from cordon.vision.faces import Detections
from cordon.vision.packs import Pack, PackManifest, PackUnavailable

DETECTOR_SIZE = (640, 640)
# What else the published packs carry, up to 144 MB each: dense landmarks, age and sex. Cordon has no use for them.
_NOT_NEEDED = ("1k3d68", "2d106det", "genderage")


class Scrfd:
    def __init__(self, model: Any) -> None:
        self._model = model

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        boxes, points = self._model.detect(image, input_size=DETECTOR_SIZE)
        if boxes is None or not len(boxes) or points is None:
            return Detections.none()
        order = np.argsort(-boxes[:, 4])
        return Detections(
            boxes[order, :4].astype(np.float32), boxes[order, 4].astype(np.float32), points[order].astype(np.float32)
        )

    def accepting(self, *, smallest_face_px: int, score: float) -> Scrfd:
        """insightface fixes the input's size and the score when it prepares the network."""
        return self


class ArcFace:
    def __init__(self, model: Any, dimension: int) -> None:
        self._model = model
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        return self._dimension

    def align(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        return align_faces(image, landmarks)

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(crops):
            return np.zeros((0, self._dimension), np.float32)
        return normalised(np.asarray(self._model.get_feat(list(crops)), np.float32))


def manifest(folder: Path) -> PackManifest:
    return PackManifest(
        name=folder.name,
        version=_fingerprint(folder),
        dimension=512,
        licence="InsightFace model licence: non-commercial research only",
        licence_scope="research",
        source="insightface model zoo",
        suggested_threshold=0.4,
        detector="scrfd",
        embedder="arcface",
        files={},
    )


def load(folder: Path, *, threads: int = 1) -> Pack:
    """Raises PackUnavailable where the folder lacks an SCRFD detector with landmarks or an ArcFace network."""
    import onnxruntime
    from insightface.model_zoo import get_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.onnx")):
        if path.stem in _NOT_NEEDED:
            continue
        try:
            model = get_model(str(path), providers=["CPUExecutionProvider"], sess_options=options)
        except Exception as error:
            raise PackUnavailable(f"{path.name} of the pack {folder.name} cannot be loaded.") from error
        if model is not None and model.taskname in {"detection", "recognition"}:
            found.setdefault(model.taskname, model)
    if "detection" not in found or "recognition" not in found:
        raise PackUnavailable(f"The pack {folder.name} needs a detection and a recognition network.")
    found["detection"].prepare(-1, input_size=DETECTOR_SIZE, det_thresh=0.5)
    found["recognition"].prepare(-1)
    dimension = int(found["recognition"].output_shape[-1])
    described = manifest(folder)
    if described.dimension != dimension:
        described = PackManifest(**{**described.__dict__, "dimension": dimension})
    return Pack(described, Scrfd(found["detection"]), ArcFace(found["recognition"], dimension))


def _fingerprint(folder: Path) -> str:
    """The pack has no version of its own: names and sizes of its files stand for one."""
    parts = "|".join(f"{path.name}:{path.stat().st_size}" for path in sorted(folder.glob("*.onnx")))
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
