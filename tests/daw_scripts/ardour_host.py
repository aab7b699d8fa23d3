"""Ardour as a test subject: sessions made from text, the real program on a hidden screen, its own OSC to drive it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.hosts.bundle import bundle, modules, quote, shared_data

from .lua_host import SCRIPTS

SUPERCLOCK = 282_240_000
"""Ardour's own time unit: ticks a second."""

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour><Config>
<Option name="try-autostart-engine" value="1"/><Option name="hide-dummy-backend" value="0"/>
<Option name="discover-plugins-on-start" value="0"/>
</Config><Extra><AudioMIDISetup><EngineStates>
<State backend="None (Dummy)" driver="Normal Speed" device="Silence" input-device="" output-device="" sample-rate="48000"
 buffer-size="1024" n-periods="0" input-latency="0" output-latency="0" lm-input="" lm-output="" active="1"
 use-buffered-io="0" midi-option="No MIDI I/O" lru="1"><MIDIDevices/></State>
</EngineStates></AudioMIDISetup></Extra></Ardour>
"""

MAKE_SESSION = """
Session = create_session(arg[1], arg[2], 48000)
for name in arg[3]:gmatch("[^,]+") do
  Session:new_audio_track(2, 2, nil, 1, name, ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
end
local map = Temporal.TempoMap.fetch_writable()
map:set_tempo(Temporal.Tempo(tonumber(arg[4]), tonumber(arg[4]), 4), Temporal.timepos_t(0))
Temporal.TempoMap.update(map) map = nil
Session:save_state("")
"""

CHANGE_TEMPO = """
Session = load_session(arg[1], arg[2])
local map = Temporal.TempoMap.fetch_writable()
%s
Temporal.TempoMap.update(map) map = nil
Session:save_state("")
"""

ADD_MIDI_TRACK = """
Session = load_session(arg[1], arg[2])
local function count(kind, number) return ARDOUR.ChanCount(ARDOUR.DataType(kind), number) end
Session:new_midi_track(count("midi", 1), count("audio", 2), true, ARDOUR.PluginInfo(), nil, nil, 1, arg[3],
  ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
Session:save_state("")
"""

WINDING = """
map:set_meter(Temporal.Meter(7, 8), Temporal.timepos_t(192000))
map:set_meter(Temporal.Meter(5, 4), Temporal.timepos_t(528000))
local ramp = map:set_tempo(Temporal.Tempo(120, 120, 4), Temporal.timepos_t(768000))
map:set_tempo(Temporal.Tempo(90, 90, 4), Temporal.timepos_t(960000))
map:set_ramped(ramp, true)
"""
"""For `change_tempo`, at 120 bpm: 7/8 from bar 3 on, four bars later 5/4, two bars later a ramp to 90 bpm for eight quarters."""

READ_REGIONS = """
Session = load_session(arg[1], arg[2])
local routes = Session:get_tracks() -- held: Ardour's iterators do not hold their list
for route in routes:iter() do
  local regions = route:to_track():playlist():region_list()
  for region in regions:iter() do
    print(string.format("region\\t%s\\t%s\\t%d\\t%d\\t%d", route:name(), region:name(), region:position():samples(),
      region:length():samples(), region:layer()))
  end
end
"""

READ_TRACKS = """
Session = load_session(arg[1], arg[2])
local first, count, folder = tonumber(arg[3]), tonumber(arg[4]), arg[5]
local shm = ARDOUR.DSP.DspShm(3 * 8192)
local routes = Session:get_tracks()
for route in routes:iter() do
  local out = io.open(folder .. "/" .. route:name() .. ".raw", "wb")
  local list = route:to_track():playlist():to_audioplaylist()
  for at = first, first + count - 1, 8192 do
    local n = math.min(8192, first + count - at)
    local sides = {}
    for channel = 0, 1 do
      list:read(shm:to_float(0), shm:to_float(8192), shm:to_float(16384), Temporal.timepos_t(at), Temporal.timecnt_t(n), channel)
      sides[channel + 1] = shm:to_float(0):get_table(n)
    end
    for index = 1, n do out:write(string.pack("<ff", sides[1][index], sides[2][index])) end
  end
  out:close()
end
"""


LAST_WORD = "the script has ended"


def headless(script: str, *arguments: str, folder: Path) -> str:
    """Run a Lua script in Ardour without a screen; its standard output.

    Ardour 7 crashes one time in some hundred runs as it leaves (``g_mutex_clear``), so what counts is that the script ended.
    """
    file = folder / f"script-{abs(hash((script, arguments)))}.lua"
    file.write_text(f'{script}\nprint("{LAST_WORD}") io.stdout:flush() os.exit(0)\n')
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    environment["XDG_CONFIG_HOME"] = str(folder / "xdg-headless")
    done = subprocess.run(
        ["ardour7-lua", str(file), *arguments], capture_output=True, text=True, timeout=60, env=environment, cwd=folder
    )
    said, ended, _ = done.stdout.rpartition(LAST_WORD)
    assert ended, done.stdout + done.stderr
    return said


def run(session: Path, code: str, program: Sequence[str] = ()) -> str:
    """Run code with `import`, `track(name)`, `out(...)` and the session loaded; what it printed."""
    data = shared_data(SCRIPTS, session.parent, program, program, ["listener"])
    chunk = bundle(modules(SCRIPTS, "ardour"), data, f"assert(load({quote('local import = ... ' + code)}))(import)")
    script = (
        "Session = load_session(arg[1], arg[2])\n"
        "function out(...) print(table.concat({...}, '|')) end\n"
        "function track(name) for route in Session:get_tracks():iter() do\n"
        "if route:name() == name then return route:to_track() end end end\n"
        f"{chunk.replace('return assert(load', 'assert(load')}\n"
    )
    return headless(script, str(session), session.name, folder=session.parent)


def make_session(folder: Path, name: str, tracks: list[str], bpm: float) -> Path:
    """A session at 48 kHz with stereo audio tracks and a tempo; its folder."""
    session = folder / name
    headless(MAKE_SESSION, str(session), name, ",".join(tracks), str(bpm), folder=folder)
    return session


def change_tempo(session: Path, code: str) -> None:
    """Run Lua code on the ``map`` of a saved session, and save it. A ramp moves every later change, so ramps come last."""
    headless(CHANGE_TEMPO % code, str(session), session.name, folder=session.parent)


def add_midi_track(session: Path, name: str) -> None:
    """A MIDI track below the tracks of a saved session."""
    headless(ADD_MIDI_TRACK, str(session), session.name, name, folder=session.parent)


def tempo_changes(session: Path) -> list[int]:
    """Where the tempo points of a saved session lie, in samples."""
    return [round(int(tempo.get("sclock", "0")) * 48_000 / SUPERCLOCK) for tempo in state(session).iter("Tempo")]


def place_file(session: Path, audio: Path, track: str, position: int) -> None:
    """Write a region of a whole audio file into the session's text (Ardour's scripts cannot import without a window)."""
    path = session / f"{session.name}.ardour"
    tree = ElementTree.parse(path)
    root = tree.getroot()
    counter = int(root.get("id-counter", "0"))
    info = soundfile.info(audio)
    length, start = info.frames * SUPERCLOCK // info.samplerate, position * SUPERCLOCK // info.samplerate
    sources = []
    for channel in range(info.channels):
        counter += 1
        sources.append(str(counter))
        facts = {"name": str(audio), "type": "audio", "flags": "", "id": sources[-1], "channel": str(channel)}
        ElementTree.SubElement(root.find("Sources"), "Source", {**facts, "origin": str(audio), "gain": "1"})
    playlist = next(found for found in root.find("Playlists") if found.get("name") == track)
    for parent, whole in ((root.find("Regions"), "1"), (playlist, "0")):
        counter += 1
        facts = {
            "name": audio.stem,
            "type": "audio",
            "id": str(counter),
            "start": "a0",
            "length": f"a{length}@a{start}",
        }
        facts |= {"channels": str(info.channels), "whole-file": whole, "opaque": "1", "muted": "0", "external": "1"}
        facts |= {"scale-amplitude": "1", "fade-in-active": "0", "fade-out-active": "0", "default-fade-in": "1"}
        facts |= {"default-fade-out": "1", "envelope-active": "0", "layering-index": "0", "first-edit": "nothing"}
        facts |= {
            "sync-position": "a0",
            "stretch": "1",
            "shift-samples": "0",
            "locked": "0",
            "automatic": "0",
            "hidden": "0",
        }
        facts |= {f"source-{index}": source for index, source in enumerate(sources)}
        facts |= {f"master-source-{index}": source for index, source in enumerate(sources)}
        ElementTree.SubElement(parent, "Region", facts)
    root.set("id-counter", str(counter + 1))
    for protocol in root.iter("Protocol"):
        if "OSC" in protocol.get("name", ""):
            for name, value in {"active": "1", "address-only": "0", "remote-port": "8000"}.items():
                protocol.set(name, value)
    tree.write(path, encoding="UTF-8", xml_declaration=True)


Region = tuple[str, str, int, int, int]
"""Track, name, position, length (samples) and layer."""


def regions(session: Path) -> list[Region]:
    """Every region of a saved session, read by Ardour itself."""
    lines = headless(READ_REGIONS, str(session), session.name, folder=session.parent).splitlines()
    found = [line.split("\t")[1:] for line in lines if line.startswith("region\t")]
    return [(track, name, int(at), int(length), int(layer)) for track, name, at, length, layer in found]


def state(session: Path) -> ElementTree.Element:
    """The saved session as it lies on the disk."""
    return ElementTree.parse(session / f"{session.name}.ardour").getroot()


def tracks(session: Path) -> dict[str, str]:
    """Id -> name of the audio tracks of a saved session."""
    routes = [route for route in state(session).iter("Route") if route.get("audio-playlist")]
    return {route.get("id", ""): route.get("name", "") for route in routes}


def saved_regions(session: Path) -> list[Region]:
    """The same as `regions`, read from the text of the session: quick, for looking often."""
    root = state(session)
    names = {route.get("audio-playlist"): route.get("name", "") for route in root.iter("Route")}
    found = []
    for playlist in root.findall("Playlists/Playlist"):
        for region in playlist.findall("Region") if playlist.get("id") in names else []:
            length, _, position = region.get("length", "").partition("@")
            at, count = (round(int(text.lstrip("a")) * 48_000 / SUPERCLOCK) for text in (position, length))
            layer = int(region.get("layering-index", "0"))
            found.append((names[playlist.get("id")], region.get("name", ""), at, count, layer))
    return found


def sounds(session: Path, first: int, count: int) -> dict[str, bytes]:
    """Track name -> what it plays (before plug-ins), as Ardour mixes its layers: interleaved float32 stereo."""
    headless(
        READ_TRACKS, str(session), session.name, str(first), str(count), str(session.parent), folder=session.parent
    )
    return {name: (session.parent / f"{name}.raw").read_bytes() for name in tracks(session).values()}


def open_screen() -> tuple[subprocess.Popen[bytes], str]:
    """A hidden screen and its name; it finds itself a number that nobody uses, and has one once it is ready."""
    reading, writing = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writing,),
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        return screen, f":{answer.readline().strip()}"


class Ardour:
    """The real program with a session, on a hidden screen; on a `desktop` its windows have frames and titles."""

    def __init__(self, session: Path, config: Path, desktop: bool = False) -> None:
        self.session = session
        self.config = config
        self.desktop = desktop
        config.mkdir(parents=True, exist_ok=True)
        (config / ".a7").touch()
        (config / "config").write_text(CONFIG)
        self.display = ""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Ardour:
        environment = self.open_desktop()
        state = self.session / f"{self.session.name}.ardour"
        self.start(["ardour", "-a", "-n", str(state)], {**environment, "ARDOUR_TRY_AUTOSTART_ENGINE": "1"})
        self._wait(self.listens, "Ardour's OSC", 40)
        # Until the session is open, Ardour does not know that it should answer to the port that asks.
        self._wait(lambda: self.windows(" - Ardour"), "Ardour's window", 40)
        return self

    def open_desktop(self) -> dict[str, str]:
        """Open the screen; the environment of programs on it."""
        screen, self.display = open_screen()
        self._processes.append(screen)
        environment = {**os.environ, "DISPLAY": self.display, "XDG_CONFIG_HOME": str(self.config.parent)}
        if self.desktop:
            self.start(["openbox"], environment)
        return environment

    def start(self, words: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a program that ends with this one."""
        with (self.session.parent / f"{words[0]}.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        self._processes.append(process)
        return process

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.screenshot(self.session.parent / "at-the-error.png")
        for process in reversed(self._processes):
            process.terminate()  # a screen that is killed leaves its number taken
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._socket.close()

    def listens(self) -> bool:
        """Whether anybody holds the port of Ardour's OSC."""
        port = f"{3819:04X}"
        return any(line.split()[1].endswith(port) for line in Path("/proc/net/udp").read_text().splitlines()[1:])

    @staticmethod
    def _wait(condition: object, what: str, seconds: float = 15) -> None:
        until = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < until, f"{what} did not come up"
            time.sleep(0.1)

    def send(self, address: str, *values: object) -> None:
        """An OSC message to Ardour's own control surface."""
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        self._socket.sendto(message.build().dgram, ("127.0.0.1", 3819))

    def locate(self, sample: int) -> None:
        """Put the playhead on a sample and wait until Ardour says that it is there."""
        self._socket.settimeout(0.3)
        self.send("/locate", sample, 0)

        def there() -> bool:
            self.send("/transport_frame")
            with contextlib.suppress(TimeoutError):
                while True:
                    data = self._socket.recv(65_535)
                    if data.startswith(b"/transport_frame\0"):
                        return int(OscMessage(data).params[0]) == sample
            return False

        self._wait(there, f"the playhead at {sample}")

    def select_lowest_track(self) -> None:
        """Select nothing but the last track, where all of them are selected; the selected range stays."""
        self.send("/access_action", "Editor/select-prev-route")

    def run_slot(self, slot: int) -> None:
        """Run the installed Lua action of a slot."""
        self.send("/access_action", f"LuaAction/script-{slot}")

    def wait_for(self, condition: object, what: str, seconds: float = 30) -> None:
        """Wait until something is true outside."""
        self._wait(condition, what, seconds)

    def _xdotool(self, *words: str) -> str:
        environment = {**os.environ, "DISPLAY": self.display}
        done = subprocess.run(["xdotool", *words], env=environment, capture_output=True, text=True, timeout=10)
        return done.stdout

    def dialog(self, title: str = "ACE-Step", seconds: float = 10) -> str:
        """Wait for a dialog with that title; its window id."""
        self._wait(lambda: self.windows(title), f"the dialog {title}", seconds)
        time.sleep(0.3)
        return self.windows(title)[-1]

    def _click(self, window: str, right: int, top: int = 0, bottom: int = 0) -> None:
        """Click that far from the right and the upper or lower edge of a window."""
        facts = dict(line.split("=") for line in self._xdotool("getwindowgeometry", "--shell", window).split())
        x, y = int(facts["WIDTH"]) - right, top or int(facts["HEIGHT"]) - bottom
        self._xdotool("mousemove", "--window", window, str(x), str(y), "click", "1")

    def press_default(self, window: str) -> None:
        """Click the rightmost button of a dialog (OK, Close, Yes)."""
        self._click(window, right=60, bottom=30)

    def choose_next(self, window: str) -> None:
        """Choose what stands below the chosen entry of the list that a dialog ends with."""
        before = self.windows(".")
        self._click(window, right=60, bottom=84)
        self._wait(lambda: self.windows(".") != before, "the list")
        self._xdotool("key", "Down", "Return")
        self._wait(lambda: self.windows(".") == before, "the end of the list")

    def press(self, keys: str) -> None:
        """Press a key in whatever window has the focus, such as ``ctrl+alt+shift+p``."""
        self._xdotool("key", "--clearmodifiers", keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self._xdotool("type", "--clearmodifiers", text)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag the mouse from one place of the editor window to another."""
        window = self.editor()
        self._xdotool("mousemove", "--sync", "--window", window, *map(str, start), "mousedown", "1")
        for part in range(1, 6):
            places = (round(one + (other - one) * part / 5) for one, other in zip(start, end, strict=True))
            self._xdotool("mousemove", "--sync", "--window", window, *map(str, places))
            time.sleep(0.1)
        self._xdotool("mouseup", "1")

    def click(self, place: tuple[int, int], holding: str = "") -> None:
        """Click a place of the editor window, perhaps while a key is held."""
        words = ["mousemove", "--sync", "--window", self.editor(), *map(str, place), "click", "1"]
        self._xdotool(*(["keydown", holding, *words, "keyup", holding] if holding else words))

    def editor(self) -> str:
        """The id of the editor window; a busy screen does not always tell it at once."""
        found: list[str] = []
        self._wait(lambda: found.extend(self.windows(" - Ardour")) or found, "Ardour's window")
        return found[0]

    def run_last_of_menu(self, picture: Path) -> None:
        """Open *Edit > Lua Scripts* with the mouse and the arrow keys, and take the last entry; its picture."""
        self._xdotool("mousemove", "--window", self.editor(), "135", "12", "click", "1")
        for keys in ("Up", "Up", "Right", "Up"):  # Preferences, Lua Scripts, its first entry, its last one
            time.sleep(0.5)
            self.press(keys)
        time.sleep(0.5)
        self.screenshot(picture)
        self.press("Return")

    def focus(self) -> None:
        """Bring the editor window to the front."""
        self._xdotool("windowfocus", "--sync", self.editor())

    def titles(self) -> list[str]:
        """The titles of the visible windows."""
        names = (self._xdotool("getwindowname", window).strip() for window in self.windows("."))
        return [name for name in names if name]

    def windows(self, title: str) -> list[str]:
        """Ids of visible windows with that title."""
        return self._xdotool("search", "--onlyvisible", "--name", title).split()

    def screenshot(self, path: Path) -> None:
        """The hidden screen as a PNG."""
        subprocess.run(["import", "-window", "root", "-display", self.display, str(path)], check=True, timeout=20)

    def save(self) -> None:
        """Save the session and wait until the file is new."""
        state = self.session / f"{self.session.name}.ardour"
        before = state.stat().st_mtime_ns
        self.send("/access_action", "Common/Save")
        self._wait(lambda: state.stat().st_mtime_ns != before, "the saved session")
        time.sleep(0.2)


def missing() -> str:
    """The Debian package that is missing for tests with the window, or nothing."""
    needs = {"ardour": "ardour", "ardour7-lua": "ardour", "Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick"}
    return next((package for program, package in needs.items() if shutil.which(program) is None), "")
