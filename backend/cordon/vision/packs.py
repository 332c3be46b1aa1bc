"""Model packs: where they are found, that they are what they claim to be, and what they may be used for.

Order: the folder CORDON_MODELS, the cache, a download whose SHA-256 is pinned here, the `registry` pack. Weights are
checked each time before they are loaded: against their SHA-256, or, where they are changed on arrival, against the
digest of the network that they hold. Downloads come from the publisher, or from CORDON_MODELS_MIRROR: an address under
which the published files lie by their names. A mirror is not trusted more than a publisher: the hashes are the same.

A calibration that the installation measured itself takes the place of the manifest's. It lies in the folder
CORDON_CALIBRATIONS, else in the cache, and never beside the weights, which may be read-only and shared.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import requests

from cordon.vision.arrival import Arrival, NotThisNetwork, content_digest, with_free_batch
from cordon.vision.embedders import IMAGENET_RGB, RAW_RGB, CropEmbedder
from cordon.vision.faces import Detector, Embedder
from cordon.vision.sessions import OnnxModel
from cordon.vision.yunet import YuNet

LicenceScope = Literal["operational", "research", "exercise"]

ONNX_PACKS = ("light", "open")
DOWNLOADED_BY_DEFAULT = "open"
REGISTRY = "registry"
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 20.0
_NORMS = {"mobilefacenet": IMAGENET_RGB, "sface": RAW_RGB}


class PackUnavailable(Exception):
    """No usable pack; the message is a sentence for the person who runs Cordon."""


@dataclass(frozen=True)
class PackFile:
    """One set of weights as it is loaded. `url` is where it is published; None where it cannot be downloaded.

    `arrival`: how the download is changed first. `content_sha256`: the digest of the network (`content_digest`), which
    then stands beside `sha256`, since the change may have been written by another protobuf."""

    file: str
    sha256: str
    size_bytes: int
    url: str | None
    content_sha256: str | None = None
    arrival: Arrival | None = None


@dataclass(frozen=True)
class PackManifest:
    """What a pack is and what it may serve. `calibration` maps cosine to FPIR, once somebody has measured it."""

    name: str
    version: str
    dimension: int
    licence: str
    licence_scope: LicenceScope
    source: str
    suggested_threshold: float
    detector: str
    embedder: str
    files: dict[str, PackFile]
    calibration: dict[str, Any] | None = None
    # Of references: cosines of a template with itself after the face was hidden or disturbed (`enrol`). Packs differ.
    reference_checks: dict[str, float] | None = None

    @property
    def label(self) -> str:
        """Name and version: templates of two packs with different labels are never compared."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Pack:
    manifest: PackManifest
    detector: Detector
    embedder: Embedder

    @property
    def label(self) -> str:
        return self.manifest.label


def manifest_of(name: str) -> PackManifest:
    """The built-in manifest of `light` or `open`."""
    raw = json.loads(resources.files("cordon.vision").joinpath("manifests", f"{name}.json").read_text())
    files = {
        role: PackFile(
            entry["file"],
            entry["sha256"],
            entry["bytes"],
            entry["url"],
            entry.get("content_sha256"),
            Arrival(**entry["arrival"]) if "arrival" in entry else None,
        )
        for role, entry in raw.pop("files").items()
    }
    return PackManifest(files=files, **raw)


def load_pack(name: str | None = None, *, threads: int = 1) -> Pack:
    """The named pack, or the first that can be had. `threads`: for each network. Raises PackUnavailable."""
    pack = _loaded(name, threads)
    return replace(pack, manifest=_calibrated(pack.manifest))


def choose_pack(name: str | None = None) -> str:
    """The name of the pack that `load_pack` would take; downloads it where it must. Raises PackUnavailable."""
    return _locate(name, download=True)[0]


def describe_pack(name: str | None = None) -> PackManifest:
    """What `load_pack` would load, without loading or fetching anything. Raises PackUnavailable."""
    return _calibrated(_described(name))


def calibration_file(manifest: PackManifest) -> Path:
    """Where this installation keeps its own calibration of a pack: one file for each label."""
    root = os.environ.get("CORDON_CALIBRATIONS")
    folder = Path(root) if root else cache_folder().parent / "calibrations"
    return folder / f"{manifest.name}-{manifest.version}.json"


def _calibrated(manifest: PackManifest) -> PackManifest:
    """With this installation's own calibration, where there is one. Raises PackUnavailable for a damaged one."""
    path = calibration_file(manifest)
    if not path.is_file():
        return manifest
    try:
        calibration = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackUnavailable(f"The calibration {path} cannot be read: remove it and measure again.") from error
    if not isinstance(calibration, dict) or calibration.get("pack") != manifest.label:
        raise PackUnavailable(f"The calibration {path} is not one of the pack {manifest.label}: remove it.")
    return replace(manifest, calibration=calibration)


def _described(name: str | None) -> PackManifest:
    chosen, folder = _locate(name, download=False)
    if chosen == REGISTRY:
        from cordon.vision import registry_pack

        return registry_pack.manifest()
    if chosen not in ONNX_PACKS:
        from cordon.vision import insightface_pack

        return insightface_pack.manifest(_required(folder))
    return manifest_of(chosen)


def _loaded(name: str | None, threads: int) -> Pack:
    chosen, folder = _locate(name, download=True)
    if chosen == REGISTRY:
        from cordon.vision import registry_pack

        return registry_pack.load()
    if chosen not in ONNX_PACKS:
        from cordon.vision import insightface_pack

        return insightface_pack.load(_required(folder), threads=threads)
    manifest = manifest_of(chosen)
    paths = {role: verified(_required(folder) / file.file, file) for role, file in manifest.files.items()}
    return Pack(
        manifest,
        YuNet(OnnxModel(paths["detector"], threads=threads)),
        CropEmbedder(OnnxModel(paths["embedder"], threads=threads), _NORMS[manifest.embedder], manifest.dimension),
    )


def verified(path: Path, expected: PackFile) -> Path:
    """The path, once its content is the pinned one. Raises PackUnavailable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PackUnavailable(f"The weights {expected.file} cannot be read.") from error
    if not is_as_pinned(data, expected):
        raise PackUnavailable(
            f"The weights {expected.file} are not the ones that were published: remove and pull again."
        )
    return path


def is_as_pinned(data: bytes, expected: PackFile) -> bool:
    if hashlib.sha256(data).hexdigest() == expected.sha256:
        return True
    if expected.content_sha256 is None:
        return False
    try:
        return content_digest(data) == expected.content_sha256
    except NotThisNetwork:
        return False


def pull(name: str, *, mirror: str | None = None) -> Path:
    """Download a pack into the cache and return its folder; files that are there and right are kept. `mirror`: the
    address to use instead of the publishers', CORDON_MODELS_MIRROR by default. Raises PackUnavailable."""
    mirror = mirror or os.environ.get("CORDON_MODELS_MIRROR") or None
    manifest = manifest_of(name)
    folder = cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in manifest.files.values():
        target = folder / file.file
        if target.is_file() and is_as_pinned(target.read_bytes(), file):
            continue
        if file.url is None:
            raise PackUnavailable(f"{file.file} of the pack {name} cannot be downloaded: put it into CORDON_MODELS.")
        address = file.url if mirror is None else f"{mirror.rstrip('/')}/{_published_name(file.url)}"
        _store(_arrived(_fetched(address, file), file), target)
    return folder


def cache_folder() -> Path:
    root = os.environ.get("CORDON_CACHE")
    return Path(root) / "models" if root else Path.home() / ".cache" / "cordon" / "models"


def registry_pack_installed() -> bool:
    return all(importlib.util.find_spec(module) is not None for module in ("dlib", "face_recognition_models"))


def _locate(name: str | None, *, download: bool) -> tuple[str, Path | None]:
    """The pack's name and the folder with its files."""
    if name == REGISTRY:
        return REGISTRY, None
    wanted = ONNX_PACKS if name is None else (name,)
    for pack in wanted:
        folder = _folder_of(pack)
        if folder is not None:
            return pack, folder
    if name is not None and name not in ONNX_PACKS:
        raise PackUnavailable(f"There is no folder {name} under CORDON_MODELS or in the cache.")
    reason = "nothing was found in CORDON_MODELS or in the cache"
    if download:
        try:
            return name or DOWNLOADED_BY_DEFAULT, pull(name or DOWNLOADED_BY_DEFAULT)
        except PackUnavailable as unavailable:
            reason = str(unavailable)
    if name is None and registry_pack_installed():
        return REGISTRY, None
    raise PackUnavailable(f"No model pack can be had: {reason}")


def _folder_of(pack: str) -> Path | None:
    roots = [Path(os.environ["CORDON_MODELS"])] if os.environ.get("CORDON_MODELS") else []
    roots.append(cache_folder())
    for root in roots:
        # antelopev2's archive holds a folder of its own name: unpacked, its files lie one deeper.
        for folder in (root / pack, root / pack / pack, root):
            if pack in ONNX_PACKS:
                if all((folder / file.file).is_file() for file in manifest_of(pack).files.values()):
                    return folder
            elif folder.name == pack and any(folder.glob("*.onnx")):
                return folder
    return None


def _required(folder: Path | None) -> Path:
    if folder is None:
        raise PackUnavailable("The pack's folder is missing.")
    return folder


def _published_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _fetched(address: str, file: PackFile) -> bytes:
    """What the address sends, at most as much as the file may have. Raises PackUnavailable."""
    name = _published_name(str(file.url))
    most = file.size_bytes if file.arrival is None else file.arrival.most_bytes
    print(f"Fetching {name} (about {file.size_bytes / 1e6:.1f} MB) …", file=sys.stderr)  # noqa: T201
    data = bytearray()
    try:
        with requests.get(address, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as answer:
            if not answer.ok:
                raise PackUnavailable(f"{name} could not be downloaded: the server answered {answer.status_code}.")
            for part in answer.iter_content(1 << 20):
                data += part
                if len(data) > most:
                    raise PackUnavailable(
                        f"The server sent more than the {most} bytes that {name} may have: it was thrown away."
                    )
    except (requests.RequestException, ValueError) as error:
        raise PackUnavailable(f"{name} could not be downloaded ({type(error).__name__}).") from error
    if bytes(data[:256]).lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise PackUnavailable(f"The server sent a web page, not {name}: it was thrown away.")
    return bytes(data)


def _arrived(data: bytes, file: PackFile) -> bytes:
    """The weights as they are kept. Raises PackUnavailable where they are not the pinned ones."""
    name = _published_name(str(file.url))
    if file.arrival is not None:
        try:
            data = with_free_batch(data, file.arrival)
        except NotThisNetwork as error:
            raise PackUnavailable(f"What was downloaded is not {name}: {error}. It was thrown away.") from error
    if not is_as_pinned(data, file):
        raise PackUnavailable(f"What was downloaded is not {name} as it was published: it was thrown away.")
    return data


def _store(data: bytes, target: Path) -> None:
    """Whole or not at all. Raises PackUnavailable."""
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".pull-")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        temporary.replace(target)
    except OSError as error:
        raise PackUnavailable(f"{target.name} could not be written to {target.parent}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
