"""A small Hugging Face Hub on this machine: the parts of its HTTP protocol that clients rely on.

Files of more than 1 KB are answered with a redirect to a "CDN", which is this server under its
other host name, as the real Hub does for large files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.patience import PATIENCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_INLINE = 1024
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Hub:
    """State of the server, read and changed by tests."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by repository id."""
    gated: set[str] = field(default_factory=set)
    """Repositories that nobody may read."""
    writers: set[str] = field(default_factory=set)
    """Tokens that may create repositories and commit."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """By file content hash: after how many bytes to hang up, one entry for every attempt."""
    pace: float = math.inf
    """Bytes a second at which large files are sent."""
    holds: dict[str, threading.Event] = field(default_factory=dict)
    """By file content hash: what to wait for in the middle of it."""
    requests: list[Request] = field(default_factory=list)
    """Everything asked so far."""
    port: int = 0

    @property
    def endpoint(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"


class Server:
    """The hub in a thread: ``with Server() as hub``."""

    def __init__(self) -> None:
        self.hub = Hub()
        handler = type("Handler", (_Handler,), {"hub": self.hub})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.hub.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        return self.hub

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, values: object) -> None:
        self._answer(200, json.dumps(values).encode(), Content_Type="application/json")

    def _fail(self, status: int, code: str, message: str) -> None:
        self._answer(status, X_Error_Code=code, X_Error_Message=message, X_Repo_Commit=COMMIT)

    def _note(self) -> bytes:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(self.command, self.path, self.headers.get("Range"), token))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._note()
        if self.path.startswith("/cdn/"):
            self._cdn(self.path.removeprefix("/cdn/"))
        elif match := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", self.path):
            self._resolve(*match.groups())
        else:
            self._fail(404, "", "no such page")

    def _resolve(self, repo: str, revision: str, filename: str) -> None:
        files = self.hub.repos.get(repo)
        if files is None:  # the real one says 401 too: the repository could be private
            self._fail(401, "RepoNotFound", "Repository not found")
        elif repo in self.hub.gated:
            self._fail(401, "GatedRepo", f"Access to model {repo} is restricted.")
        elif revision not in {"main", COMMIT}:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif filename not in files:
            self._fail(404, "EntryNotFound", "Entry not found")
        else:
            self._send_file(files[filename])

    def _send_file(self, body: bytes) -> None:
        if len(body) <= _INLINE:
            etag = hashlib.sha1(body).hexdigest()
            self._answer(200, body, ETag=f'"{etag}"', X_Repo_Commit=COMMIT)
            return
        digest = hashlib.sha256(body).hexdigest()
        self._answer(
            302,
            ETag='"of-the-redirect"',
            X_Repo_Commit=COMMIT,
            X_Linked_Etag=f'"{digest}"',
            X_Linked_Size=str(len(body)),
            Location=f"http://localhost:{self.hub.port}/cdn/{digest}",
        )

    def _cdn(self, digest: str) -> None:
        every = (body for files in self.hub.repos.values() for body in files.values())
        body = next(b for b in every if hashlib.sha256(b).hexdigest() == digest)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cuts = self.hub.cuts.get(digest)
        end = cuts.pop(0) if cuts else len(body)
        with suppress(ConnectionError):  # the client may hang up, too
            for at in range(start, end, _PIECE):
                if at > len(body) // 2 and digest in self.hub.holds:
                    self.hub.holds[digest].wait(PATIENCE)
                self.wfile.write(body[at : min(at + _PIECE, end)])
                time.sleep(_PIECE / self.hub.pace)
        self.close_connection = end < len(body)

    def do_POST(self) -> None:
        body = self._note()
        if self.hub.requests[-1].token not in self.hub.writers:
            self._fail(401, "", "Invalid credentials in Authorization header")
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted['organization']}/{wanted['name']}"
            self.hub.repos.setdefault(repo, {})
            self._json({"url": f"{self.hub.endpoint}/{repo}", "name": repo})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif re.fullmatch(r"/api/models/.+/preupload/main", self.path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.hub.repos[match[1]][line["value"]["path"]] = content
            url = f"{self.hub.endpoint}/{match[1]}/commit/{COMMIT}"
            self._json({"success": True, "commitUrl": url, "commitOid": COMMIT})
        else:
            self._fail(404, "", "no such page")
