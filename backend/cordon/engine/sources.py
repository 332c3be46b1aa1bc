"""Where frames come from: RTSP, a video file, a folder of pictures, or JPEGs pushed over HTTP.

PyAV decodes: the wheel carries its own FFmpeg, and each frame comes with its time, which OpenCV's reader hides.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from cordon.vision.images import ImageRefused, decode_image

OPEN_TIMEOUT_S = 5.0
SILENT_FOR_S = 5.0
FOLDER_FRAMES_A_SECOND = 4.0
PUSHED_FRAME_PIXELS = 12_000_000

Image = NDArray[np.uint8]


class SourceLost(Exception):
    """The camera cannot be read (any more); the message is short and holds no address."""


class Source(Protocol):
    def frames(self, stop: threading.Event) -> Iterator[tuple[datetime, Image]]:
        """Capture time and BGR picture, as they come. Raises SourceLost."""


def open_source(url: str) -> Source:
    """Raises SourceLost for an address of an unknown kind."""
    parts = urlsplit(url)
    if parts.scheme in {"rtsp", "rtsps"}:
        return StreamSource(url)
    if parts.scheme == "file":
        loop = parse_qs(parts.query).get("loop") == ["1"]
        return VideoFileSource(Path(parts.path), loop=loop)
    if parts.scheme == "dir":
        return FolderSource(Path(parts.path))
    if parts.scheme == "push":
        return PushSource()
    raise SourceLost("unknown kind of camera")


class StreamSource:
    """A live stream over RTSP, by TCP."""

    def __init__(self, url: str) -> None:
        self._url = url

    def frames(self, stop: threading.Event) -> Iterator[tuple[datetime, Image]]:
        options = {"rtsp_transport": "tcp", "stimeout": str(int(OPEN_TIMEOUT_S * 1e6)), "fflags": "nobuffer"}
        try:
            with av.open(self._url, options=options, timeout=(OPEN_TIMEOUT_S, SILENT_FOR_S)) as container:
                for frame in _decoded(container):
                    if stop.is_set():
                        return
                    yield datetime.now(UTC), frame.to_ndarray(format="bgr24")
        except (FFmpegError, OSError, IndexError) as error:
            raise SourceLost(type(error).__name__) from error
        raise SourceLost("the stream ended")


class VideoFileSource:
    """A recording played in real time, for demonstrations and tests; over and over where `loop` is asked for."""

    def __init__(self, path: Path, *, loop: bool) -> None:
        self._path = path
        self._loop = loop

    def frames(self, stop: threading.Event) -> Iterator[tuple[datetime, Image]]:
        while not stop.is_set():
            began, first = time.monotonic(), None
            try:
                with av.open(str(self._path)) as container:
                    for frame in _decoded(container):
                        first = frame.time if first is None else first
                        wait = (frame.time or 0.0) - (first or 0.0) - (time.monotonic() - began)
                        if stop.wait(max(wait, 0)):
                            return
                        yield datetime.now(UTC), frame.to_ndarray(format="bgr24")
            except (FFmpegError, OSError, IndexError) as error:
                raise SourceLost(type(error).__name__) from error
            if first is None:
                # Else a looped file without a frame would be opened over and over without a pause.
                raise SourceLost("the recording holds no frame")
            if not self._loop:
                return


class FolderSource:
    """Pictures of a folder in the order of their names, four a second, over and over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def frames(self, stop: threading.Event) -> Iterator[tuple[datetime, Image]]:
        while not stop.is_set():
            pictures = sorted(
                path for path in self._folder.glob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
            )
            if not pictures:
                raise SourceLost("the folder holds no pictures")
            for path in pictures:
                try:
                    image = decode_image(path.read_bytes())
                except (ImageRefused, OSError) as error:
                    raise SourceLost("a picture cannot be read") from error
                yield datetime.now(UTC), image
                if stop.wait(1 / FOLDER_FRAMES_A_SECOND):
                    return


class PushSource:
    """Frames that the camera sends by itself. Two are held; the older one gives way."""

    def __init__(self) -> None:
        self._pushed: queue.Queue[tuple[datetime, Image]] = queue.Queue(maxsize=2)

    def push(self, jpeg: bytes) -> None:
        """Raises ImageRefused."""
        image = decode_image(jpeg, max_pixels=PUSHED_FRAME_PIXELS)
        while True:
            try:
                self._pushed.put_nowait((datetime.now(UTC), image))
                return
            except queue.Full:
                self._take_oldest()

    def frames(self, stop: threading.Event) -> Iterator[tuple[datetime, Image]]:
        last = time.monotonic()
        while not stop.is_set():
            try:
                yield self._pushed.get(timeout=0.2)
                last = time.monotonic()
            except queue.Empty:
                if time.monotonic() - last > SILENT_FOR_S:
                    raise SourceLost("no frame was pushed") from None

    def _take_oldest(self) -> None:
        try:
            self._pushed.get_nowait()
        except queue.Empty:
            return


def _decoded(container: Any) -> Iterator[Any]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = 1
    yield from container.decode(stream)
