"""One line of JSON for each log record: ids and counts, never a face, a name or a position."""

from __future__ import annotations

import json
import logging
import sys

from cordon.platform.clock import SystemClock, iso


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": iso(SystemClock().now()),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            # The kind and place of a fault, not its values: a traceback's message may quote personal data.
            line["fault"] = record.exc_info[0].__name__
            frame = record.exc_info[2]
            places = []
            while frame is not None:
                places.append(f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}")
                frame = frame.tb_next
            line["where"] = places[-6:]
        return json.dumps(line, ensure_ascii=True)


def log_to_stderr(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("werkzeug", "engineio", "socketio", "botocore", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
