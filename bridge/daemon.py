"""The daemon: settings in, doors open, and an orderly end. Wires the parts together and knows none of their insides."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from acestep import __version__
from acestep.api.errors import AceError, NotAllowed, OutputUnwritable, Unavailable
from bridge import logs
from bridge.cluster.command import require_cluster
from bridge.core.interface import PROTOCOL, DoorAddress
from bridge.core.service import Service
from bridge.devices import AUTO, named_devices
from bridge.paths import Paths
from bridge.plain import plain
from bridge.settings import LOOPBACK, MADE_HERE, Resolved, Settings

if TYPE_CHECKING:
    from bridge.performance.performance import Performance

log = logging.getLogger(__name__)

DOORS = {name: f"bridge.doors.{name}" for name in ("osc", "rpc", "jsonrpc", "spool", "http")}
"""Setting that opens a door -> its module, which offers ``async start(service, settings)``."""

STOP_SECONDS = 18.0
"""Time for an orderly stop: a job's grace of ten seconds, its worker's three, and some for the disk."""

DESCRIBED_SECONDS = 5.0
"""After this time the descriptions of all operations have been made, too."""

INT8_PACKAGE = "torchao"


def require_packages(settings: Settings) -> None:
    """Raise `Unavailable` for a setting whose package is not here: at the start, and not in the middle of the first job."""
    if settings.executor == "ray":
        require_cluster(settings)
    if settings.int8 == "on" and not _computes_on_cpu(settings) and importlib.util.find_spec(INT8_PACKAGE) is None:
        raise Unavailable(
            f"8-bit weights on a GPU (the setting int8) need the package {INT8_PACKAGE}: pip install "
            "'acestep-bridge[quantisation]', or leave int8 at auto; on a CPU (the setting device) they need no package",
            field="int8",
            limits={"package": INT8_PACKAGE},
        )


def _computes_on_cpu(settings: Settings) -> bool:
    """Whether it is certain that the models run on the CPU: by the settings, or since torch is built for nothing else."""
    kinds = {device.kind for device in named_devices(settings.devices, settings.device)}
    if AUTO not in kinds:
        return kinds == {"cpu"}
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False


class Door(Protocol):
    """An open door."""

    @property
    def address(self) -> DoorAddress:
        """Where clients find it, as it stands in the connection file."""

    async def close(self) -> None:
        """Let nobody in any more, and part with those who are."""


class Daemon:
    """One running daemon."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self.settings = settings
        self.paths = paths
        self.service = Service(settings, paths)
        self.doors: dict[str, Door] = {}

    async def start(self) -> dict[str, Any]:
        """Start the core and open the doors; returns what the connection file says. Raises an `AceError`."""
        require_packages(self.settings)
        await self.service.start()
        if self.settings.performance:
            self.service.performance = await self._start_performance()
        for name, module in DOORS.items():
            if getattr(self.settings, name):
                self.doors[name] = await self._open(name, module)
                self.service.doors[name] = self.doors[name].address
        if not self.doors:
            log.warning("no door is open; nobody can talk to this daemon")
        return self._write_connection()

    async def _start_performance(self) -> Performance:
        """The part that plays; imported only when it is on."""
        from bridge.performance.performance import Performance, PerformanceSettings

        given = self.settings
        settings = PerformanceSettings(
            folder=self.paths.captures,
            mapping=Path(given.performance_mapping).expanduser() if given.performance_mapping else None,
            output=given.performance_output,
            input=given.performance_input,
            rate=given.performance_rate,
            capture_seconds=given.capture_seconds,
            midi=given.midi,
            midi_backend=given.midi_backend,
            midi_socket=given.midi_socket or None,
            midi_clock=given.midi_clock,
        )
        performance = Performance(self.service, settings)
        await performance.start()
        return performance

    async def _open(self, name: str, module: str) -> Door:
        try:
            opened: Door = await importlib.import_module(module).start(self.service, self.settings)
        except OSError as failure:
            port = getattr(self.settings, f"{name}_port", "")
            raise Unavailable(
                f"the {name} door cannot open on {self.settings.listen} port {port}: {failure.strerror or failure}; "
                "another program may use it, and every daemon needs ports of its own",
                field=f"{name}_port",
            ) from failure
        return opened

    def _write_connection(self) -> dict[str, Any]:
        """The connection file, readable by its owner only, complete at any moment."""
        facts = {
            "format": "acestep-bridge/connection",
            "version": __version__,
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            **self.service.doors,
            "token": self.settings.token,
            "home": str(self.paths.home),
            "started": time.time(),
        }
        draft = self.paths.connection.with_suffix(".tmp")
        draft.unlink(missing_ok=True)
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(facts, file, indent=1)
            os.replace(draft, self.paths.connection)
        except OSError as failure:
            raise OutputUnwritable(f"{self.paths.connection} cannot be written: {failure.strerror}") from failure
        return facts

    async def stop(self) -> None:
        """Close the doors, then the core, so that no request meets half a daemon."""
        for name, door in self.doors.items():
            try:
                await door.close()
            except Exception:  # one door that does not close must not keep the queue from being stored
                log.exception("the %s door did not close", name)
        if self.service.performance is not None:
            await self.service.performance.close()
        await self.service.stop()
        self.paths.connection.unlink(missing_ok=True)


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond this machine without protection. Raises `NotAllowed`."""
    if settings.listen in LOOPBACK:
        return
    if (settings.rpc or settings.http) and not settings.token:
        raise NotAllowed(
            f"listening on {settings.listen} needs a token for RPC and HTTP; set one with --token", field="token"
        )
    if settings.osc and not settings.osc_allow:
        raise NotAllowed(
            f"listening on {settings.listen} needs the addresses that may send OSC; set them with --osc-allow",
            field="osc_allow",
        )


def with_own_token(settings: Settings, system: str = os.name) -> Settings:
    """Where there are no socket files with an owner (Windows), RPC asks for a token that only the connection file tells."""
    if system != "nt" or settings.token:
        return settings
    return msgspec.structs.replace(settings, token=MADE_HERE + secrets.token_urlsafe(32))


@contextlib.contextmanager
def only_one(paths: Paths) -> Iterator[None]:
    """Hold the home's lock. The system frees it however this process ends. Raises `NotAllowed` when another holds it."""
    file = paths.lock.open("a+b")
    try:
        try:
            _lock(file.fileno())
        except OSError:
            raise NotAllowed(f"another daemon runs with the home {paths.home}", field="home") from None
        yield
    finally:
        file.close()


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def main(resolved: Resolved) -> int:
    """Run a daemon until it is asked to stop; returns the exit status of the process.

    The line ``ready {...}`` on standard output, followed by the connection facts (without the token) as JSON, tells that the doors
    are open. What keeps the daemon from starting goes to standard error as one sentence.
    """
    settings = with_own_token(resolved.settings)
    paths = Paths.of(settings)
    try:
        check_exposure(settings)
        paths.create()
        with only_one(paths):
            logs.set_up(settings, paths.logs)
            asyncio.run(_serve(settings, paths))
    except AceError as error:
        print(plain(f"acestep-bridge: {error.message}"), file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings, paths: Paths) -> None:
    asked = asyncio.Event()
    with _stop_signals(asked.set):
        daemon = Daemon(settings, paths)
        try:
            facts = await daemon.start()
            _say_ready(facts)
            _spare_collector()
            await asked.wait()
            log.info("stopping")
        finally:
            await daemon.stop()


def _spare_collector() -> None:
    """Leave what stays for good (modules, schemas, descriptions) out of garbage collections, which would otherwise hold the loop
    up for tens of milliseconds each. A collection first would hold it up just when the first client comes.
    """
    gc.freeze()
    asyncio.get_running_loop().call_later(DESCRIBED_SECONDS, gc.freeze)


def _say_ready(facts: dict[str, Any]) -> None:
    told = {name: value for name, value in facts.items() if name != "token"}
    with contextlib.suppress(OSError):  # nobody may be reading
        print("ready", json.dumps(told), flush=True)
    log.info("ready: %s", json.dumps({name: told[name] for name in DOORS if name in told}))


def _end_for_sure() -> None:
    """End the process when an orderly stop does not: a disk or network share that hangs keeps it waiting forever otherwise.

    Nothing is lost by it: what was accepted is stored, and the job that ran is resumed at the next start.
    """

    def complain() -> None:
        log.error(
            "the daemon did not stop within %.0f s and is ended; a disk or network share may be hanging", STOP_SECONDS
        )

    for seconds, work in ((STOP_SECONDS, complain), (STOP_SECONDS + 0.5, lambda: os._exit(1))):
        timer = threading.Timer(seconds, work)  # not on the loop, which may be what hangs
        timer.daemon = True
        timer.start()


@contextlib.contextmanager
def _stop_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` on the event loop for SIGTERM, Ctrl-C and, on Windows, Ctrl-Break; a second one ends at once."""
    loop = asyncio.get_running_loop()
    kinds = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        kinds.append(signal.SIGBREAK)
    else:
        kinds.append(signal.SIGHUP)
    seen: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        if not seen:
            _end_for_sure()
        if seen and number != signal.SIGTERM:
            os._exit(130)
        seen.append(number)
        loop.call_soon_threadsafe(stop)

    before = {kind: signal.signal(kind, on_signal) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
