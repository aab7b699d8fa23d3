"""A local stand-in for the Hugging Face hub and ModelScope: list and fetch, over real HTTP, and connections that break."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Serves ``repositories`` (name -> folder). ``breaks`` maps a file's path to how many answers break off half-way,
    ``spoilt`` names files whose bytes arrive changed, ``held`` those whose second half waits for its event (10 s at most).
    ``sent`` counts body bytes, ``asked`` lists file requests with their ranges and ``tokens`` what they said of themselves."""

    repositories: dict[str, Path]
    breaks: dict[str, int] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    held: dict[str, threading.Event] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    revisions: dict[str, str] = field(default_factory=dict)
    """The newest commit of repositories that have another one than `REVISION`."""
    sent: int = 0

    def __post_init__(self) -> None:
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path).strip("/")
        if path.startswith("api/models/"):
            repository, _, revision = path.removeprefix("api/models/").partition("/revision/")
            self._facts(repository, revision)
        elif path.startswith("api/v1/models/"):
            self._modelscope(path.removeprefix("api/v1/models/"), parse_qs(urlparse(self.path).query))
        else:
            self._file(path, body=True)

    def do_HEAD(self) -> None:
        self._file(unquote(urlparse(self.path).path).strip("/"), body=False)

    def _modelscope(self, path: str, query: dict[str, list[str]]) -> None:
        """ModelScope's two calls, in the form that its own client 1.40 makes them and reads their answers."""
        repository, _, verb = path.partition("/repo")
        folder = self.owner.repositories.get(repository)
        if folder is None or query["Revision"] != ["master"]:
            self._answer(404, json.dumps({"Code": 10010205001, "Success": False}).encode(), {})
        elif verb == "/files":
            listed = [self._row(folder, entry) for entry in sorted(folder.rglob("*"))]
            self._answer(200, json.dumps({"Code": 200, "Data": {"Files": listed}, "Success": True}).encode(), {})
        else:
            self._file(f"{repository}/resolve/master/{query['FilePath'][0]}", body=True)

    @staticmethod
    def _row(folder: Path, entry: Path) -> dict[str, Any]:
        name = {"Path": entry.relative_to(folder).as_posix(), "Name": entry.name, "Revision": REVISION}
        if entry.is_dir():
            return {**name, "Type": "tree", "Size": 0, "Sha256": ""}
        data = entry.read_bytes()
        return {**name, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}

    def _facts(self, repository: str, revision: str) -> None:
        folder = self.owner.repositories.get(repository)
        if folder is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        commit = self.owner.revisions.get(repository, REVISION)
        if revision not in ("", "main", commit):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [self._sibling(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()]
        self._answer(200, json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode(), {})

    @staticmethod
    def _sibling(folder: Path, file: Path) -> dict[str, Any]:
        found: dict[str, Any] = {"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size}
        if file.suffix == ".safetensors":
            found["lfs"] = {
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "size": found["size"],
                "pointerSize": 134,
            }
        return found

    def _file(self, path: str, body: bool) -> None:
        repository, _, inner = path.partition("/resolve/")
        _, _, name = inner.partition("/")
        file = self.owner.repositories.get(repository, Path("/nowhere")) / name
        if not file.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data, status = file.read_bytes(), 200
        etag = hashlib.sha256(data).hexdigest()
        if name in self.owner.spoilt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "")
        if body:
            self.owner.asked.append((name, wanted))
            self.owner.tokens.append(self.headers.get("Authorization", ""))
        if wanted.startswith("bytes="):
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            data, status = data[first:], 206
        if body and self.owner.breaks.get(name, 0) > 0:
            self.owner.breaks[name] -= 1
            self._answer(status, data, headers, cut=len(data) // 2)
            self.close_connection = True
            return
        if body and name in self.owner.held:
            self._answer(status, data, headers, cut=len(data) // 2)
            self.owner.held[name].wait(10.0)
            self.owner.sent += len(data) - len(data) // 2
            self.wfile.write(data[len(data) // 2 :])
            return
        self._answer(status, data, headers, cut=None if body else 0)

    def _answer(self, status: int, data: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {
            "Content-Length": str(len(data)),
            "Content-Type": "application/octet-stream",
            **headers,
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            part = data if cut is None else data[:cut]
            self.owner.sent += len(part)
            self.wfile.write(part)
            self.wfile.flush()
