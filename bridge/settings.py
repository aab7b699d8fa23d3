"""Every setting of the bridge in one table, and where its value came from.

A value is taken from a command-line flag, else from the environment variable ``ACESTEP_BRIDGE_<NAME>``, else from the
config file (TOML, flat keys), else from a variable of ACE-Step's own that means the same, else from the default written here.
A key that is not in the table is refused.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs

from acestep.api.errors import BadRequest
from acestep.api.features import DEFAULTS, spellings
from acestep.api.limits import MAX_PATH
from acestep.api.schema import FieldInfo, Request, convert, describe, param
from acestep.api.text import read_text
from bridge.devices import MOST, named_devices
from bridge.toml_file import parse_toml

APP = "acestep-bridge"
HOME_VARIABLE = "ACESTEP_BRIDGE_HOME"
PREFIX = "ACESTEP_BRIDGE_"
FEATURE_PREFIX = "ACESTEP_FEATURE_"
CONFIG_NAME = "config.toml"
UPSTREAM = {"model": "ACESTEP_CONFIG_PATH", "queue_length": "ACESTEP_QUEUE_MAXSIZE", "token": "ACESTEP_API_KEY"}
"""Settings that ACE-Step's own variables fill in where nobody says anything else."""

AUTO_ADDRESS = "auto"
"""The Ray cluster that this machine is a node of."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that only this machine can reach."""

MADE_HERE = "own."
"""Beginning of a token that the daemon makes for RPC where nobody has set one; see `http_token`."""

MiB = 1024 * 1024
GiB = 1024 * MiB
Port = Annotated[int, param("TCP or UDP port; 0 takes a free one.", ge=0, le=65_535)]


class Settings(Request):
    """All settings, typed. The order is the order of ``config show``."""

    home: Annotated[
        str,
        param(
            "Folder for everything that the daemon stores; empty: the usual folders of the system.",
            max_length=MAX_PATH,
            group="folders",
        ),
    ] = ""
    library: Annotated[
        str, param("Folder for results; empty: 'library' in the home.", max_length=MAX_PATH, group="folders")
    ] = ""
    checkpoints: Annotated[
        list[str], param("Additional folders with model checkpoints, besides the one in the home.", group="folders")
    ] = []
    read_roots: Annotated[
        list[str],
        param("Folders from which sources may be read; empty: your home and mounted volumes.", group="folders"),
    ] = []
    write_roots: Annotated[
        list[str], param("Folders, besides the library, into which results may be copied.", group="folders")
    ] = []
    plugin_folder: Annotated[
        str,
        param("Folder for single-file plug-ins; empty: 'plugins' in the home.", max_length=MAX_PATH, group="plugins"),
    ] = ""
    plugins_disabled: Annotated[list[str], param("Names of plug-ins that should not be loaded.", group="plugins")] = []
    features: Annotated[
        list[str], param("Feature flags to switch on; with a dash before the name, to switch off.", group="plugins")
    ] = []

    listen: Annotated[
        str, param("Address that OSC, RPC and HTTP listen on.", max_length=255, group="doors", example="127.0.0.1")
    ] = "127.0.0.1"
    token: Annotated[
        str,
        param(
            "Secret that RPC and HTTP clients must send; required if the daemon listens beyond loopback.", group="doors"
        ),
    ] = ""
    osc: Annotated[bool, param("Open the OSC door.", group="doors")] = True
    osc_port: Annotated[Port, param("UDP and TCP port of OSC; 0 takes a free one.", group="doors")] = 9700
    osc_allow: Annotated[
        list[str],
        param(
            "Addresses or networks that may send OSC from other machines; ADDRESS=owner marks one of your own.",
            group="doors",
        ),
    ] = []
    rpc: Annotated[bool, param("Open the MessagePack-RPC door.", group="doors")] = True
    rpc_port: Annotated[Port, param("TCP port of MessagePack-RPC; 0 takes a free one.", group="doors")] = 9701
    jsonrpc: Annotated[
        bool, param("Open the JSON-RPC door: its local socket and, with a token, TCP.", group="doors")
    ] = True
    jsonrpc_port: Annotated[
        Port, param("TCP port of JSON-RPC, opened only if a token is set; 0 takes a free one.", group="doors")
    ] = 9703
    http: Annotated[bool, param("Open the HTTP door.", group="doors")] = True
    http_port: Annotated[Port, param("TCP port of HTTP; 0 takes a free one.", group="doors")] = 9702
    http_ports: Annotated[
        list[Port],
        param(
            "Additional TCP ports for HTTP. ACE-Step's own servers, and its front ends, use 8001 and 8002.",
            group="doors",
            max_length=8,
        ),
    ] = []
    http_origins: Annotated[
        list[str],
        param(
            "Origins of other web pages that may use the HTTP door, besides the daemon's own page.",
            group="doors",
            max_length=32,
            example=["http://localhost:5173"],
        ),
    ] = []
    spool: Annotated[bool, param("Watch the spool folder.", group="doors")] = True

    executor: Annotated[
        Literal["local", "ray"],
        param(
            "Where jobs run: on this machine, or on the nodes of a Ray cluster as well (this machine then by device alone).",
            group="worker",
        ),
    ] = "local"
    ray_address: Annotated[
        str,
        param(
            "Head of the Ray cluster, HOST:PORT; auto: the cluster that this machine is a node of.",
            max_length=255,
            group="worker",
            example="10.0.0.5:6379",
        ),
    ] = AUTO_ADDRESS
    backend: Annotated[str, param("Backend that runs the models; empty: the first registered.", group="worker")] = ""
    device: Annotated[
        str, param("A single device: auto, cpu, cuda, cuda:1, mps, xpu.", max_length=32, group="worker")
    ] = "auto"
    devices: Annotated[
        list[str],
        param(
            "Devices that get one worker each, such as cuda:0,cuda:1 or cpu,cpu; empty or auto: every GPU, or "
            "the CPU if there is no GPU.",
            group="worker",
            max_length=MOST,
            example=["cuda:0", "cuda:1"],
        ),
    ] = []
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"], param("Number format of the networks.", group="worker")
    ] = "auto"
    int8: Annotated[
        Literal["auto", "on", "off"], param("8-bit weights; auto: if the device has little memory.", group="worker")
    ] = "auto"
    offload: Annotated[
        Literal["auto", "none", "parts", "all"],
        param(
            "Networks that wait in main memory: text encoder and codec (parts), or all; auto: chosen by the device.",
            group="worker",
        ),
    ] = "auto"
    attention: Annotated[
        Literal["auto", "flash", "efficient", "cudnn", "math"],
        param(
            "Attention kernel that torch should prefer; if it cannot do something, another one does.", group="worker"
        ),
    ] = "auto"
    compile: Annotated[
        Literal["off", "on"],
        param("torch.compile for the model: a slow first job, then faster steps on a GPU.", group="worker"),
    ] = "off"
    threads: Annotated[
        int, param("CPU threads of each worker; 0: share all cores but one.", ge=0, le=1024, group="worker")
    ] = 0
    model: Annotated[str, param("Default model; empty: nano.", max_length=128, group="worker")] = ""
    warm: Annotated[
        Literal["auto", "on", "off"],
        param("Open the default model at start; auto: if it is small, or if memory is ample.", group="worker"),
    ] = "auto"
    worker_start: Annotated[
        Literal["serve", "lazy"],
        param("Start the worker with the daemon (serve) or with the first job (lazy).", group="worker"),
    ] = "serve"
    idle_unload: Annotated[
        float,
        param(
            "Unload models after this many minutes without a job; 0 keeps them loaded.",
            unit="min",
            ge=0.0,
            group="worker",
        ),
    ] = 0.0
    cancel_grace: Annotated[
        float,
        param(
            "How long a cancelled job may take to stop, at least, before its worker is killed.",
            unit="s",
            ge=0.1,
            group="worker",
        ),
    ] = 10.0
    worker_silence: Annotated[
        float,
        param("Restart the worker if it does not answer for this long.", unit="s", ge=1.0, group="worker"),
    ] = 45.0
    degraded_retry: Annotated[
        float, param("Pause after five crashes of the worker in a row.", unit="s", ge=0.1, group="worker")
    ] = 60.0

    admission_seconds: Annotated[
        float,
        param(
            "How long checking a request may take, for example if a disk or network share hangs.",
            unit="s",
            ge=0.5,
            le=600.0,
            group="limits",
        ),
    ] = 10.0
    queue_length: Annotated[int, param("How many jobs may wait.", ge=1, le=1_000_000, group="limits")] = 1000
    jobs_per_client: Annotated[int, param("How many jobs of one client may wait or run.", ge=1, group="limits")] = 250
    bytes_per_client: Annotated[
        int, param("Total size of one client's waiting requests.", unit="bytes", ge=1024, group="limits")
    ] = 8 * MiB
    history_jobs: Annotated[int, param("How many ended jobs to remember.", ge=0, group="limits")] = 100_000
    history_days: Annotated[
        float, param("How many days to remember ended jobs; 0: forever.", unit="d", ge=0.0, group="limits")
    ] = 0.0
    library_bytes: Annotated[
        int, param("Delete the oldest results above this size; 0 keeps all.", unit="bytes", ge=0, group="limits")
    ] = 0
    library_days: Annotated[
        float, param("How many days to keep results; 0 keeps all.", unit="d", ge=0.0, group="limits")
    ] = 0.0
    keep_latents: Annotated[
        bool,
        param(
            "Store the latent of every result, so that edits can start from it; off: only if requested.", group="limits"
        ),
    ] = True
    latent_bytes: Annotated[
        int,
        param(
            "Delete the oldest unpinned latents above this total size; 0 keeps all.",
            unit="bytes",
            ge=0,
            group="limits",
        ),
    ] = 4 * GiB
    free_bytes: Annotated[
        int, param("Space that must be free on the library's disk.", unit="bytes", ge=0, group="limits")
    ] = 64 * MiB
    upload_bytes: Annotated[int, param("Largest upload.", unit="bytes", ge=1, group="limits")] = 2 * GiB
    upload_quota: Annotated[int, param("Total size of all uploads.", unit="bytes", ge=1, group="limits")] = 8 * GiB
    upload_hours: Annotated[
        float, param("How many hours to keep an unused upload.", unit="h", ge=0.0, group="limits")
    ] = 24.0

    performance: Annotated[bool, param("Listen to MIDI, keep slots and play them.", group="performance")] = False
    performance_mapping: Annotated[
        str, param("Mapping file: what pads, keys and pedals do.", max_length=MAX_PATH, group="performance")
    ] = ""
    performance_output: Annotated[
        str,
        param(
            "How the name of the output device begins; empty: the default device; null: no sound.", group="performance"
        ),
    ] = ""
    performance_input: Annotated[
        str, param("How the name of the input device to capture begins; empty: no capture.", group="performance")
    ] = ""
    performance_rate: Annotated[
        int, param("Sample rate of the sound card.", unit="Hz", ge=8_000, le=192_000, group="performance")
    ] = 48_000
    capture_seconds: Annotated[
        float, param("How much of the input to keep.", unit="s", ge=1.0, le=600.0, group="performance")
    ] = 120.0
    midi: Annotated[bool, param("Open MIDI ports.", group="performance")] = True
    midi_clock: Annotated[
        bool, param("Send MIDI clock to the feedback port that the mapping names.", group="performance")
    ] = False
    midi_backend: Annotated[str, param("mido backend; empty: mido's default.", group="performance")] = ""
    midi_socket: Annotated[
        int, param("TCP port that accepts MIDI on loopback; 0: none.", ge=0, le=65_535, group="performance")
    ] = 0

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], param("Lowest severity to log.", group="log")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], param("Format of the log on standard error.", group="log")] = "text"
    log_bytes: Annotated[int, param("Size at which the log file is rotated.", unit="bytes", ge=4096, group="log")] = (
        5 * MiB
    )
    log_files: Annotated[int, param("How many rotated log files to keep.", ge=0, le=100, group="log")] = 3


SECRETS = frozenset({"token"})
"""Settings whose value is never shown."""


def table() -> list[FieldInfo]:
    """All settings with type, default, unit, range and summary."""
    return describe(Settings)


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Settings together with the origin of each value."""

    settings: Settings
    origins: dict[str, str]
    config: Path | None = None

    def rows(self) -> list[dict[str, Any]]:
        """What ``config show`` prints: name, value (secrets hidden), origin, unit, summary."""
        rows = []
        for info in table():
            value = getattr(self.settings, info.name)
            if info.name in SECRETS and value:
                value = "(hidden)"
            row = {"name": info.name, "value": value, "origin": self.origins[info.name]}
            rows.append({**row, "unit": info.unit, "default": info.default, "summary": info.summary})
        return rows


def resolve(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Resolved:
    """Settings from flags, environment and config file. Flags that are None count as not given.

    ``config`` is a config file that must exist; without it ``config.toml`` of the home is read if there is one. Raises
    `BadRequest` that names the key and its origin.
    """
    variables = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    _refuse_unknown(given, "flags")
    from_environment = _read_environment(variables)
    path = config or _config_path(given, from_environment)
    from_file = {} if path is None else read_config(path)
    theirs = _read_upstream(variables)
    values: dict[str, Any] = dict(theirs)
    origins = {info.name: UPSTREAM[info.name] if info.name in theirs else "default" for info in table()}
    for origin, source in (("config file", from_file), ("environment", from_environment), ("flag", given)):
        values.update(source)
        origins.update(dict.fromkeys(source, origin))
    return Resolved(settings=_check(values, origins), origins=origins, config=path)


def home_folder(home: str = "") -> Path:
    """The home: the given folder, else ``ACESTEP_BRIDGE_HOME``, else the platform's data folder."""
    chosen = home or os.environ.get(HOME_VARIABLE, "")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_data_path(APP, appauthor=False)


def _config_path(flags: Mapping[str, Any], environment: Mapping[str, Any]) -> Path | None:
    path = home_folder(str(flags.get("home", environment.get("home", "")))) / CONFIG_NAME
    return path if path.is_file() else None


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a config file. Raises `BadRequest` when it is missing, no TOML, or names an unknown key."""
    try:
        data = parse_toml(read_text(path))
    except FileNotFoundError:
        raise BadRequest(f"there is no config file {path}", field="config") from None
    except OSError as failure:
        raise BadRequest(f"the config file {path} cannot be read: {failure.strerror}", field="config") from None
    except UnicodeDecodeError:
        raise BadRequest(f"the config file {path} is not UTF-8 text", field="config") from None
    except BadRequest as failure:
        raise BadRequest(f"{path}, {failure.message}", field="config", limits=failure.limits) from None
    if "home" in data:
        raise BadRequest(f"'home' cannot be set in {path}, because it decides where that file is", field="home")
    _refuse_unknown(data, f"config file {path}")
    return data


def _read_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    kinds = {info.name: info.type for info in table()}
    found = {key[len(PREFIX) :].lower(): text for key, text in variables.items() if key.startswith(PREFIX)}
    _refuse_unknown(found, "environment")
    return {name: parse_text(name, kinds[name], text) for name, text in found.items()}


def _read_upstream(variables: Mapping[str, str]) -> dict[str, Any]:
    kinds = {info.name: info.type for info in table()}
    given = {name: variables.get(variable, "").strip() for name, variable in UPSTREAM.items()}
    return {name: parse_text(UPSTREAM[name], kinds[name], text) for name, text in given.items() if text}


def parse_text(name: str, kind: str, text: str) -> Any:
    """A setting's value from a string, as the environment and the command line give it; lists are separated by commas."""
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "bool":
            return _TRUTH[text.strip().lower()]
    except (ValueError, KeyError):
        raise BadRequest(f"{name} takes {_TAKEN[kind]}, not {text!r}", field=name, limits={"type": kind}) from None
    if kind.startswith("list"):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return [parse_text(name, "int", part) for part in parts] if kind == "list[int]" else parts
    return text


_TAKEN = {"int": "a whole number", "float": "a number", "bool": "true or false"}

_TRUTH = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off", ""), False)}


def _refuse_unknown(values: Mapping[str, Any], origin: str) -> None:
    known = [info.name for info in table()]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadRequest(f"there is no setting {name!r} ({origin}){hint}", field=name, limits={"choices": known})


def _check(values: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    kinds = {info.name: info.type for info in table()}
    for name, value in values.items():
        if kinds[name] == "float" and type(value) is int:
            values[name] = float(value)  # TOML writes 10 where a person means 10.0
    try:
        return _check_cluster(_check_devices(_check_origins(_check_token(convert(values, Settings)))))
    except BadRequest as error:
        error.message = f"{error.message} ({origins.get(error.field or '', 'settings')})"
        raise


def _check_token(settings: Settings) -> Settings:
    """Refuse a token that protects nothing because it is blank, or that no client can type. Raises `BadRequest`."""
    if any(not character.isprintable() or character.isspace() for character in settings.token):
        raise BadRequest("a token must not contain blanks; `openssl rand -hex 32` makes a good one", field="token")
    return settings


def _check_devices(settings: Settings) -> Settings:
    """Refuse names that no device can have, and two settings that say different things. Raises `BadRequest`."""
    named_devices(settings.devices, settings.device)
    return settings


def _check_cluster(settings: Settings) -> Settings:
    """Refuse what cannot be the address of a head. Raises `BadRequest`."""
    if settings.ray_address != AUTO_ADDRESS and not _HEAD.fullmatch(settings.ray_address):
        raise BadRequest(
            f"ray_address: {settings.ray_address!r} is not the address of a head; write HOST:PORT, such as 10.0.0.5:6379, or "
            "auto",
            field="ray_address",
        )
    return settings


_HEAD = re.compile(r"([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def _check_origins(settings: Settings) -> Settings:
    """Refuse what is not an origin, and ``*`` and ``null``, which any page of the web could have. Raises `BadRequest`."""
    for origin in settings.http_origins:
        if not _ORIGIN.fullmatch(origin):
            raise BadRequest(
                f"http_origins: {origin!r} is not an origin; write scheme, host and port, such as http://localhost:5173",
                field="http_origins",
            )
    return settings


def http_token(settings: Settings) -> str:
    """The token that HTTP asks for: the one that somebody has set, but on loopback not one that the daemon has made for RPC."""
    made_here = settings.token.startswith(MADE_HERE) and settings.listen in LOOPBACK
    return "" if made_here else settings.token


def features(settings: Settings, environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """The enabled feature flags: those that are on by default, changed by the setting's list (``-name`` is off) and by
    ``ACESTEP_FEATURE_<NAME>`` (1 on, 0 off)."""
    variables = os.environ if environment is None else environment
    enabled = {spelling for name in DEFAULTS for spelling in spellings(name)}
    for name in settings.features:
        enabled = enabled - spellings(name[1:]) if name.startswith("-") else enabled | spellings(name)
    for key, text in variables.items():
        if key.startswith(FEATURE_PREFIX):
            name = key[len(FEATURE_PREFIX) :].lower()
            on = parse_text(key, "bool", text)
            enabled = enabled | spellings(name) if on else enabled - spellings(name)
    return frozenset(enabled)


def named_features(settings: Settings, environment: Mapping[str, str] | None = None) -> list[str]:
    """Every flag that the setting or the environment names, on or off."""
    variables = os.environ if environment is None else environment
    told = [key[len(FEATURE_PREFIX) :].lower() for key in variables if key.startswith(FEATURE_PREFIX)]
    return [*(name.removeprefix("-") for name in settings.features), *told]
