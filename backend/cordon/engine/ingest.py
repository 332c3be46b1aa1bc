"""The door for cameras that push JPEG frames. Each token opens one camera, while its deployment is open."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cordon.engine.cameras import CameraReader
from cordon.vision.images import ImageRefused

LARGEST_FRAME_BYTES = 8_000_000
READ_TIMEOUT_S = 10


def start_ingest(bind: str, reader_of: Callable[[str], CameraReader | None]) -> ThreadingHTTPServer:
    """Serves `POST /ingest/<camera id>` in threads of its own until `shutdown` is called."""

    class Handler(BaseHTTPRequestHandler):
        timeout = READ_TIMEOUT_S

        def do_POST(self) -> None:
            camera_id = self.path.removeprefix("/ingest/")
            reader = reader_of(camera_id)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            given = hashlib.sha256(token.encode()).hexdigest()
            if reader is None or not hmac.compare_digest(given, reader.order.token_sha256):
                # The same answer for both: a stranger learns of no camera.
                self._answer(403, "This camera may not send frames now.")
                return
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or not 0 < int(length) <= LARGEST_FRAME_BYTES:
                self._answer(413, "A frame is one JPEG of at most 8 MB.")
                return
            try:
                taken = reader.push(self.rfile.read(int(length)))
            except ImageRefused as refused:
                self._answer(422, refused.sentence)
                return
            if not taken:
                self._answer(409, "This camera is read by the engine: it takes no pushed frames.")
                return
            self.send_response(204)
            self.end_headers()

        def _answer(self, status: int, sentence: str) -> None:
            body = json.dumps({"status": status, "detail": sentence}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """No line for each frame: the camera's health says what matters."""

    host, _, port = bind.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="ingest", daemon=True).start()
    return server
