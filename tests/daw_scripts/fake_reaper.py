"""A stand-in for REAPER: a small project model behind the documented function signatures. It is a fake and says so.

Nothing here was checked inside the real REAPER. Every call checks number and type of its arguments as the documentation
names them, so a script that passes a string for a number, or a track for an item, fails here as it would there.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

INTERFACE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "interfaces" / "reaper.json").read_text("utf-8")
)["reaper"]
"""What REAPER's functions take and give, in order, and since when some are there: facts from public lists, not from our scripts."""

NEWEST = (7, 62)
OLDEST = (6, 37)
"""The versions that the stand-in plays: the newest that the list has something of, and the oldest that the page promises."""


def since(name: str) -> tuple[int, ...]:
    """The oldest version that is known to have a function: that of the list where no older one names it."""
    written = INTERFACE[name]["since"]
    return NEWEST if written == "?" else tuple(map(int, written.split(".")))


PLAIN = {"number": (int, float), "integer": (int,), "boolean": (bool,), "string": (str,)}


def check_answer(name: str, answer: tuple[Any, ...], gives: list[str]) -> None:
    """Raise `WrongArguments` where the fake answers otherwise than REAPER does."""
    if len(answer) != len(gives):
        raise WrongArguments(f"the fake's {name} gives {len(answer)} values, REAPER's {len(gives)}")
    for value, kind in zip(answer, gives, strict=True):
        kinds = PLAIN.get(kind.removesuffix("?"))
        wrong = kinds and (not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)))
        if wrong and value is not None:
            raise WrongArguments(f"the fake's {name} gives {value!r} where REAPER gives {kind}")


SIGNATURES = """
EnumProjects(int)
SelectProjectInstance(proj)
GetProjectPathEx(proj)
GetSetProjectInfo(proj, str, num, bool)
GetSetProjectInfo_String(proj, str, str, bool)
GetAudioDeviceInfo(str)
GetSetMediaItemInfo_String(item, str, str, bool)
GetSetMediaItemTakeInfo_String(take, str, str, bool)
GetSetMediaTrackInfo_String(track, str, str, bool)
GetTrackGUID(track)
GetTrackName(track)
CountMediaItems(proj)
GetMediaItem(proj, int)
CountTracks(proj)
GetTrack(proj, int)
CountTrackMediaItems(track)
GetTrackMediaItem(track, int)
GetMediaItem_Track(item)
CountSelectedTracks(proj)
GetSelectedTrack(proj, int)
CountSelectedMediaItems(proj)
GetSelectedMediaItem(proj, int)
SelectAllMediaItems(proj, bool)
SetMediaItemSelected(item, bool)
GetSet_LoopTimeRange2(proj, bool, bool, num, num, bool)
GetCursorPositionEx(proj)
GetPlayStateEx(proj)
GetActiveTake(item)
SetActiveTake(take)
CountTakes(item)
GetTake(item, int)
TakeIsMIDI(take)
AddTakeToMediaItem(item)
AddMediaItemToTrack(track)
InsertTrackAtIndex(int, bool)
GetMediaItemInfo_Value(item, str)
SetMediaItemInfo_Value(item, str, num)
GetMediaItemTakeInfo_Value(take, str)
SetMediaItemTakeInfo_Value(take, str, num)
GetMediaTrackInfo_Value(track, str)
SetMediaTrackInfo_Value(track, str, num)
GetMediaItemTake_Source(take)
SetMediaItemTake_Source(take, source)
GetMediaSourceParent(source)
GetMediaSourceFileName(source)
GetMediaSourceLength(source)
GetMediaSourceSampleRate(source)
PCM_Source_CreateFromFile(str)
PCM_Source_BuildPeaks(source, int)
PCM_Source_GetSectionInfo(source)
GetTakeNumStretchMarkers(take)
CountTakeEnvelopes(take)
GetLastMarkerAndCurRegion(proj, num)
EnumProjectMarkers3(proj, int)
GetNumRegionsOrMarkers(proj)
GetRegionOrMarker(proj, int, str)
GetRegionOrMarkerInfo_Value(proj, marker, str)
set_action_options(int)
TakeFX_GetCount(take)
TakeFX_CopyToTake(take, int, take, int, bool)
TimeMap2_timeToQN(proj, num)
TimeMap2_timeToBeats(proj, num)
TimeMap_GetTimeSigAtTime(proj, num)
CountTempoTimeSigMarkers(proj)
GetTempoTimeSigMarker(proj, int)
ShowMessageBox(str, str, int)
GetUserInputs(str, int, str, str)
Help_Set(str, bool)
ExecProcess(str, int)
APIExists(str)
GetOS()
GetAppVersion()
time_precise()
defer(function)
atexit(function)
file_exists(str)
PreventUIRefresh(int)
UpdateArrange()
Undo_BeginBlock2(proj)
Undo_EndBlock2(proj, str, int)
Main_OnCommandEx(int, int, proj)
GetExtState(str, str)
SetExtState(str, str, str, bool)
DeleteExtState(str, str, bool)
AddRemoveReaScript(bool, int, str, bool)
GetResourcePath()
UpdateTimeline()
DeleteTrackMediaItem(track, item)
SplitMediaItem(item, num)
DeleteTrack(track)
SetEditCurPos2(proj, num, bool, bool)
OnPlayButtonEx(proj)
CalculateNormalization(source, int, num, num, num)
"""
"""The functions that the scripts use, as the REAPER 7 documentation lists their arguments."""

MODAL = 3.0
"""Seconds for which a box, a form or a render lets no script run."""

_guids = itertools.count(1)


def guid() -> str:
    return f"{{00000000-0000-0000-0000-{next(_guids):012X}}}"


class Source:
    """A media file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        info = soundfile.info(path) if path.exists() else None
        self.rate = info.samplerate if info else 0
        self.length = info.frames / info.samplerate if info else 0.0
        self.section = False
        self.has_peaks, self.peaks_left = False, 0


class Take:
    """A take; `source` none means MIDI."""

    def __init__(self, item: Item, source: Source | None = None) -> None:
        self.item = item
        self.source = source
        self.values = {
            "D_STARTOFFS": 0.0,
            "D_PLAYRATE": 1.0,
            "D_PITCH": 0.0,
            "D_VOL": 1.0,
            "D_PAN": 0.0,
            "I_CHANMODE": 0.0,
        }
        self.strings = {"GUID": guid(), "P_NAME": source.path.stem if source else ""}
        self.stretch_markers = 0
        self.envelopes = 0
        self.effects: list[str] = []


class Item:
    """A media item."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.takes: list[Take] = []
        self.active = 0
        self.selected = False
        self.values = {"D_POSITION": 0.0, "D_LENGTH": 0.0, "D_VOL": 1.0, "B_LOOPSRC": 1.0}
        self.values |= {"D_FADEINLEN": 0.01, "D_FADEOUTLEN": 0.01, "C_BEATATTACHMODE": -1.0}  # REAPER's own defaults
        self.values |= {"D_FADEINLEN_AUTO": -1.0, "D_FADEOUTLEN_AUTO": -1.0, "B_MUTE": 0.0, "I_FIXEDLANE": 0.0}
        self.strings = {"GUID": guid()}


class Track:
    """A track."""

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.items: list[Item] = []
        self.selected = False
        self.values = {"B_MUTE": 0.0, "I_FOLDERDEPTH": 0.0, "D_VOL": 1.0, "I_FREEMODE": 0.0, "I_NUMFIXEDLANES": 1.0}
        self.playing_lanes = {0}
        self.strings = {"P_NAME": name, "P_RAZOREDITS": ""}
        self.guid = guid()


class Project:
    """A project tab."""

    def __init__(self, rpp: Path | None, media: Path, rate: int = 48_000) -> None:
        self.rpp = rpp
        self.media = media
        self.tracks: list[Track] = []
        self.loop = (0.0, 0.0)
        self.cursor = 0.0
        self.play_state = 0
        self.tempo: list[dict[str, Any]] = [{"time": 0.0, "bpm": 120.0, "num": 4, "den": 4, "linear": False}]
        """Tempo markers; ``bpm`` is quarter notes a minute."""
        self.markers: list[dict[str, Any]] = []
        """Markers and regions in order of time, ``{start, end}``; a marker's end is none."""
        self.undo: list[str] = []
        self.before: list[list[Any]] = []
        """What stood there before each undo step."""
        self.block: list[Any] | None = None
        keys = "RENDER_SETTINGS RENDER_BOUNDSFLAG RENDER_STARTPOS RENDER_ENDPOS RENDER_CHANNELS RENDER_SRATE RENDER_TAILFLAG "
        keys += "RENDER_TAILMS RENDER_ADDTOPROJ RENDER_DITHER RENDER_NORMALIZE RENDER_FADEIN RENDER_FADEOUT"
        self.numbers = {**{key: 7.0 for key in keys.split()}, "PROJECT_SRATE": float(rate), "PROJECT_SRATE_USE": 1.0}
        self.strings = {
            key: f"user's {key}" for key in "RENDER_FILE RENDER_PATTERN RENDER_FORMAT RENDER_FORMAT2".split()
        }

    def add_track(self, name: str) -> Track:
        track = Track(self, name)
        self.tracks.append(track)
        return track

    def add_item(
        self, track: Track, source: Source | None, position: float, length: float, offset: float = 0.0
    ) -> Item:
        """An item with one take (of MIDI when there is no source)."""
        item = Item(track)
        item.values.update(D_POSITION=position, D_LENGTH=length)
        item.takes.append(Take(item, source))
        item.takes[0].values["D_STARTOFFS"] = offset
        track.items.append(item)
        return item


class WrongArguments(TypeError):
    """The script called a function in a way the documentation does not allow."""


class FakeReaper:
    """The `reaper` table for Lua, and the buttons a user would press."""

    def __init__(self, *projects: Project) -> None:
        self.version = NEWEST
        self.projects = list(projects)
        self.front = self.projects[0]
        self.messages: list[str] = []
        self.answers: dict[str, int] = {}
        """Button to press when a message box contains the text; else OK."""
        self.inputs: list[Callable[[str], str | None]] = []
        """What the user types into the next input boxes: defaults in, text out; None cancels."""
        self.asked: list[tuple[str, str]] = []
        self.titles: list[str] = []
        self.started: list[str] = []
        self.deferred: list[Any] = []
        self.at_exit: list[Any] = []
        self.ext_state: dict[tuple[str, str], str] = {}
        self.registered: list[str] = []
        self.action_options: list[int] = []
        self.refresh = 0
        self.clock = 0.0
        self.help_line = ""
        self.lines: list[str] = []
        self.break_render = False
        self.rendered: list[dict[str, Any]] = []

    def table(self, lua: Any) -> Any:
        """The functions as a Lua table; one that is not listed is nil, as an unknown function would be."""
        made = lua.table()
        made.is_a_fake = True
        for line in SIGNATURES.split("\n"):
            name, _, rest = line.strip().partition("(")
            if name and self._knows(name):
                kinds = [kind.strip() for kind in rest.rstrip(")").split(",") if kind.strip()]
                made[name] = self._checked(name, kinds)
        return made

    def _knows(self, name: str) -> bool:
        """Whether this version of REAPER has a function."""
        return since(name) <= self.version

    def _checked(self, name: str, kinds: list[str]) -> Callable[..., Any]:
        implementation, gives = getattr(self, name), INTERFACE[name]["gives"]

        def call(*arguments: Any) -> Any:
            if len(arguments) != len(kinds):
                raise WrongArguments(f"{name} takes {len(kinds)} arguments, not {len(arguments)}")
            checked = [self._check(name, kind, argument) for kind, argument in zip(kinds, arguments, strict=True)]
            answer = implementation(*checked)
            if answer is not None:
                check_answer(name, answer if isinstance(answer, tuple) else (answer,), gives)
            return answer

        return call

    def _check(self, name: str, kind: str, value: Any) -> Any:
        if kind == "proj":
            if value == 0 or value is None:
                return self.front
            kinds: tuple[type, ...] = (Project,)
        elif kind == "function":
            if not callable(value):
                raise WrongArguments(f"{name}: {value!r} is not a function")
            return value
        else:
            table = {
                "item": Item,
                "take": Take,
                "track": Track,
                "source": Source,
                "marker": dict,
                "str": str,
                "bool": bool,
            }
            kinds = (table[kind],) if kind in table else (int, float)
        if not isinstance(value, kinds) or (kind in ("num", "int") and isinstance(value, bool)):
            raise WrongArguments(f"{name}: {value!r} is not a {kind}")
        if kind == "int" and value != int(value):
            raise WrongArguments(f"{name}: {value!r} is not an integer")
        return int(value) if kind == "int" else value

    # -- projects

    def EnumProjects(self, index: int) -> Any:
        if index == -1:
            return self.front, str(self.front.rpp or "")
        if index >= len(self.projects):
            return None
        return self.projects[index], str(self.projects[index].rpp or "")

    def SelectProjectInstance(self, project: Project) -> None:
        if project.block is not None:
            raise WrongArguments("the project comes to the front inside its own undo block")
        self.front = project

    def GetProjectPathEx(self, project: Project) -> str:
        return str(project.media)

    def GetSetProjectInfo(self, project: Project, key: str, value: float, write: bool) -> float:
        if write:
            project.numbers[key] = float(value)
        return project.numbers[key]

    def GetSetProjectInfo_String(self, project: Project, key: str, value: str, write: bool) -> tuple[bool, str]:
        if key == "RENDER_TARGETS":
            return True, f"{project.strings['RENDER_FILE']}/{project.strings['RENDER_PATTERN']}.wav"
        if write:
            project.strings[key] = value
        return True, project.strings[key]

    def GetAudioDeviceInfo(self, key: str) -> tuple[bool, str]:
        return key == "SRATE", "48000"

    # -- values and strings

    @staticmethod
    def _string(thing: Any, key: str, value: str, write: bool) -> tuple[bool, str]:
        if write:
            thing.strings[key] = value
        return key in thing.strings, thing.strings.get(key, "")

    GetSetMediaItemInfo_String = _string
    GetSetMediaItemTakeInfo_String = _string
    GetSetMediaTrackInfo_String = _string

    @staticmethod
    def _value(thing: Any, key: str) -> float:
        return thing.values[key]

    @staticmethod
    def _set_value(thing: Any, key: str, value: float) -> bool:
        thing.values[key] = float(value)
        return True

    GetMediaItemTakeInfo_Value = GetMediaTrackInfo_Value = _value
    SetMediaItemInfo_Value = SetMediaItemTakeInfo_Value = _set_value

    def GetMediaItemInfo_Value(self, item: Item, key: str) -> float:
        if key == "C_LANEPLAYS":  # of the lane that the item lies in
            return float(item.values["I_FIXEDLANE"] in item.track.playing_lanes)
        return self._value(item, key)

    def SetMediaTrackInfo_Value(self, track: Track, key: str, value: float) -> bool:
        word, _, lane = key.partition(":")
        if word == "C_LANEPLAYS":
            others = track.playing_lanes - {int(lane)}
            track.playing_lanes = {0: others, 1: {int(lane)}, 2: others | {int(lane)}}[int(value)]
            return True
        if key == "I_NUMFIXEDLANES":  # new lanes sound together with the others until told otherwise
            track.playing_lanes |= set(range(int(track.values[key]), int(value)))
        return self._set_value(track, key, value)

    # -- tracks and items

    @staticmethod
    def _at(things: list[Any], index: int) -> Any:
        return things[index] if 0 <= index < len(things) else None

    @staticmethod
    def _items(project: Project) -> list[Item]:
        return [item for track in project.tracks for item in track.items]

    def GetTrackGUID(self, track: Track) -> str:
        return track.guid

    def GetTrackName(self, track: Track) -> tuple[bool, str]:
        name = track.strings["P_NAME"]
        return True, name or f"Track {track.project.tracks.index(track) + 1}"

    def CountTracks(self, project: Project) -> int:
        return len(project.tracks)

    def GetTrack(self, project: Project, index: int) -> Any:
        return self._at(project.tracks, index)

    def CountMediaItems(self, project: Project) -> int:
        return len(self._items(project))

    def GetMediaItem(self, project: Project, index: int) -> Any:
        return self._at(self._items(project), index)

    def CountTrackMediaItems(self, track: Track) -> int:
        return len(track.items)

    def GetTrackMediaItem(self, track: Track, index: int) -> Any:
        return self._at(track.items, index)

    def GetMediaItem_Track(self, item: Item) -> Track:
        return item.track

    def CountSelectedTracks(self, project: Project) -> int:
        return sum(track.selected for track in project.tracks)

    def GetSelectedTrack(self, project: Project, index: int) -> Any:
        return self._at([track for track in project.tracks if track.selected], index)

    def CountSelectedMediaItems(self, project: Project) -> int:
        return sum(item.selected for item in self._items(project))

    def GetSelectedMediaItem(self, project: Project, index: int) -> Any:
        return self._at([item for item in self._items(project) if item.selected], index)

    def SelectAllMediaItems(self, project: Project, selected: bool) -> None:
        for item in self._items(project):
            item.selected = selected

    def SetMediaItemSelected(self, item: Item, selected: bool) -> None:
        item.selected = selected

    def InsertTrackAtIndex(self, index: int, _: bool) -> None:
        self.front.tracks.insert(index, Track(self.front, ""))

    def AddMediaItemToTrack(self, track: Track) -> Item:
        item = Item(track)
        track.items.append(item)
        return item

    # -- takes and sources

    def GetActiveTake(self, item: Item) -> Any:
        return self._at(item.takes, item.active)

    def SetActiveTake(self, take: Take) -> None:
        take.item.active = take.item.takes.index(take)

    def CountTakes(self, item: Item) -> int:
        return len(item.takes)

    def GetTake(self, item: Item, index: int) -> Any:
        return self._at(item.takes, index)

    def TakeIsMIDI(self, take: Take) -> bool:
        return take.source is None

    def AddTakeToMediaItem(self, item: Item) -> Take:
        item.takes.append(Take(item))
        return item.takes[-1]

    def GetMediaItemTake_Source(self, take: Take) -> Any:
        return take.source

    def SetMediaItemTake_Source(self, take: Take, source: Source) -> bool:
        take.source = source
        return True

    def GetMediaSourceParent(self, source: Source) -> None:
        return None

    def GetMediaSourceFileName(self, source: Source) -> str:
        return str(source.path)

    def GetMediaSourceLength(self, source: Source) -> tuple[float, bool]:
        return source.length, False

    def GetMediaSourceSampleRate(self, source: Source) -> int:
        return source.rate

    def PCM_Source_CreateFromFile(self, path: str) -> Source:
        return Source(Path(path))

    def PCM_Source_BuildPeaks(self, source: Source, mode: int) -> int:
        """0 begins and tells whether there is anything to do, 1 does a part and tells the percent left, 2 ends it."""
        if mode == 0:
            source.peaks_left = 0 if source.has_peaks else 100
            return int(source.peaks_left > 0)
        if mode == 1:
            source.peaks_left = max(source.peaks_left - 40, 0)
            return source.peaks_left
        source.has_peaks = source.has_peaks or source.peaks_left == 0
        return 0

    def PCM_Source_GetSectionInfo(self, source: Source) -> tuple[bool, float, float, bool]:
        return source.section, 0.0, 0.0, False

    def GetTakeNumStretchMarkers(self, take: Take) -> int:
        return take.stretch_markers

    def CountTakeEnvelopes(self, take: Take) -> int:
        return take.envelopes

    def TakeFX_GetCount(self, take: Take) -> int:
        return len(take.effects)

    def TakeFX_CopyToTake(self, source: Take, index: int, target: Take, at: int, move: bool) -> None:
        target.effects.insert(at, source.effects[index])

    # -- time

    def GetSet_LoopTimeRange2(
        self, project: Project, write: bool, loop: bool, start: float, end: float, seek: bool
    ) -> tuple[float, float]:
        if write:
            project.loop = (start, end)
        return project.loop

    def GetCursorPositionEx(self, project: Project) -> float:
        return project.cursor

    def GetPlayStateEx(self, project: Project) -> int:
        return project.play_state

    def GetLastMarkerAndCurRegion(self, project: Project, time: float) -> tuple[int, int]:
        """Indices for EnumProjectMarkers3, each -1 where there is none."""
        found = list(enumerate(project.markers))
        markers = [index for index, entry in found if entry["end"] is None and entry["start"] <= time]
        regions = [
            index for index, entry in found if entry["end"] is not None and entry["start"] <= time < entry["end"]
        ]
        return (markers or [-1])[-1], (regions or [-1])[-1]

    def EnumProjectMarkers3(self, project: Project, index: int) -> tuple[int, bool, float, float, str, int, int]:
        entry = self._at(project.markers, index)
        if entry is None:
            return 0, False, 0.0, 0.0, "", 0, 0
        return index + 1, entry["end"] is not None, entry["start"], entry["end"] or 0.0, "", index + 1, 0

    def GetNumRegionsOrMarkers(self, project: Project) -> int:
        return len(project.markers)

    def GetRegionOrMarker(self, project: Project, index: int, guid: str) -> dict[str, Any] | None:
        return self._at(project.markers, index)

    def GetRegionOrMarkerInfo_Value(self, project: Project, marker: dict[str, Any], key: str) -> float:
        region = marker["end"] is not None
        values = {"B_ISREGION": region, "B_UISEL": marker.get("selected", False), "D_STARTPOS": marker["start"]}
        return float({**values, "D_ENDPOS": marker["end"] if region else marker["start"]}[key])

    def TimeMap2_timeToQN(self, project: Project, time: float) -> float:
        quarters = 0.0
        for index, marker in enumerate(project.tempo):
            following = project.tempo[index + 1] if index + 1 < len(project.tempo) else None
            stop = time if following is None else min(time, following["time"])
            span = stop - marker["time"]
            if span <= 0 and index:
                break
            slope = 0.0
            if marker["linear"] and following is not None:
                slope = (following["bpm"] - marker["bpm"]) / (following["time"] - marker["time"])
            quarters += (marker["bpm"] * span + slope * span * span / 2) / 60
        return quarters

    def TimeMap2_timeToBeats(self, project: Project, time: float) -> tuple[float, int, int, float, int]:
        """A change of metre begins a bar."""
        bars, before = 0.0, None
        for index, marker in enumerate(project.tempo):
            following = project.tempo[index + 1]["time"] if index + 1 < len(project.tempo) else time
            if marker["time"] > time:
                break
            if before not in (None, (marker["num"], marker["den"])):
                bars = math.ceil(bars - 1e-9)
            before = (marker["num"], marker["den"])
            stop = min(time, following)
            quarters = self.TimeMap2_timeToQN(project, stop) - self.TimeMap2_timeToQN(project, marker["time"])
            bars += quarters * marker["den"] / 4 / marker["num"]
        num, den, _ = self.TimeMap_GetTimeSigAtTime(project, time)
        return bars % 1 * num, int(bars), num, self.TimeMap2_timeToQN(project, time), den

    def TimeMap_GetTimeSigAtTime(self, project: Project, time: float) -> tuple[int, int, float]:
        marker = [found for found in project.tempo if found["time"] <= time][-1]
        return marker["num"], marker["den"], marker["bpm"]

    def CountTempoTimeSigMarkers(self, project: Project) -> int:
        return len(project.tempo)

    def GetTempoTimeSigMarker(self, project: Project, index: int) -> Any:
        found = project.tempo[index]
        return True, found["time"], 0, 0.0, found["bpm"], found["num"], found["den"], found["linear"]

    # -- the user and the program

    def ShowMessageBox(self, text: str, title: str, kind: int) -> int:
        self.messages.append(text)
        self.clock += MODAL
        return next((answer for part, answer in self.answers.items() if part in text), 1)

    def GetUserInputs(self, title: str, count: int, captions: str, defaults: str) -> tuple[bool, str]:
        self.asked.append((captions, defaults))
        self.titles.append(title)
        self.clock += MODAL
        answer = self.inputs.pop(0)(defaults) if self.inputs else defaults
        return (False, "") if answer is None else (True, answer)

    def Help_Set(self, line: str, temporary: bool) -> None:
        self.help_line = line
        self.lines.append(line)

    def ExecProcess(self, command: str, timeout: int) -> str:
        self.started.append(command)
        return "0\n"

    def APIExists(self, name: str) -> bool:
        return re.search(rf"^{re.escape(name)}\(", SIGNATURES, re.MULTILINE) is not None and self._knows(name)

    def GetOS(self) -> str:
        return "Other"

    def GetAppVersion(self) -> str:
        return "{}.{:02d}/fake".format(*self.version)

    def GetResourcePath(self) -> str:
        return str(self.front.media)

    def set_action_options(self, flags: int) -> None:
        self.action_options.append(flags)

    def time_precise(self) -> float:
        return self.clock

    def defer(self, function: Any) -> bool:
        self.deferred.append(function)
        return True

    def atexit(self, function: Any) -> bool:
        self.at_exit.append(function)
        return True

    def file_exists(self, path: str) -> bool:
        return Path(path).is_file()

    def PreventUIRefresh(self, change: int) -> None:
        self.refresh += change

    def UpdateArrange(self) -> None: ...

    def UpdateTimeline(self) -> None:
        """REAPER may remove lanes that hold nothing; the stand-in always does, and what lies below moves up."""
        for track in self.front.tracks:
            if track.values["I_FREEMODE"] != 2:
                continue
            used = sorted({int(item.values["I_FIXEDLANE"]) for item in track.items})
            for item in track.items:
                item.values["I_FIXEDLANE"] = float(used.index(int(item.values["I_FIXEDLANE"])))
            names = {used.index(lane): track.strings.pop(f"P_LANENAME:{lane}", "") for lane in used}
            track.strings |= {f"P_LANENAME:{lane}": name for lane, name in names.items() if name}
            track.playing_lanes = {used.index(lane) for lane in track.playing_lanes if lane in used}
            track.values["I_NUMFIXEDLANES"] = float(max(1, len(used)))

    def DeleteTrackMediaItem(self, track: Track, item: Item) -> bool:
        track.items.remove(item)
        return True

    def SplitMediaItem(self, item: Item, position: float) -> Any:
        """The item keeps what lies left of the position; what lies right is a new item with a copy of everything else."""
        begin, length = item.values["D_POSITION"], item.values["D_LENGTH"]
        if not begin < position < begin + length:
            return None
        right = Item(item.track)
        right.values |= item.values | {"D_POSITION": position, "D_LENGTH": begin + length - position}
        right.strings |= {key: text for key, text in item.strings.items() if key != "GUID"}
        right.takes = [self._take_from(take, right, position - begin) for take in item.takes]
        right.active, right.selected = item.active, item.selected
        item.values["D_LENGTH"] = position - begin
        item.track.items.insert(item.track.items.index(item) + 1, right)
        return right

    @staticmethod
    def _take_from(take: Take, item: Item, seconds: float) -> Take:
        copy = Take(item, take.source)
        copy.values |= take.values | {"D_STARTOFFS": take.values["D_STARTOFFS"] + seconds * take.values["D_PLAYRATE"]}
        copy.strings |= {key: text for key, text in take.strings.items() if key != "GUID"}
        copy.effects, copy.stretch_markers, copy.envelopes = list(take.effects), take.stretch_markers, take.envelopes
        return copy

    def DeleteTrack(self, track: Track) -> None:
        track.project.tracks.remove(track)

    def SetEditCurPos2(self, project: Project, time: float, view: bool, seek: bool) -> None:
        project.cursor = time

    def OnPlayButtonEx(self, project: Project) -> None:
        project.play_state |= 1

    def CalculateNormalization(self, source: Source, kind: int, target: float, start: float, end: float) -> float:
        """The factor that brings a stretch of the source to the target; the fake measures plain RMS for every kind."""
        sound, rate = soundfile.read(source.path)
        part = sound[round(start * rate) : round(end * rate)]
        return 10 ** (target / 20) / float(np.sqrt(np.mean(part**2)))

    @staticmethod
    def _state(project: Project) -> list[Any]:
        items = lambda track: [(item, dict(item.values), list(item.takes), item.active) for item in track.items]  # noqa: E731
        return [(track, dict(track.values), items(track)) for track in project.tracks]

    def Undo_BeginBlock2(self, project: Project) -> None:
        project.block = self._state(project)

    def Undo_EndBlock2(self, project: Project, name: str, flags: int) -> None:
        assert project.block is not None
        project.undo.append(name)
        project.before.append(project.block)
        project.block = None

    def GetExtState(self, section: str, key: str) -> str:
        return self.ext_state.get((section, key), "")

    def SetExtState(self, section: str, key: str, value: str, persist: bool) -> None:
        self.ext_state[section, key] = value

    def DeleteExtState(self, section: str, key: str, persist: bool) -> None:
        self.ext_state.pop((section, key), None)

    def AddRemoveReaScript(self, add: bool, section: int, path: str, commit: bool) -> int:
        self.registered.append(path)
        return 50_000 + len(self.registered)

    def Main_OnCommandEx(self, command: int, flag: int, project: Project) -> None:
        if command == 42230:
            self._render(project)
        elif command == 40129:
            for item in self._items(project):
                if item.selected:
                    del item.takes[item.active]
                    item.active = 0
        else:
            raise WrongArguments(f"the fake knows no action {command}")

    def _render(self, project: Project) -> None:
        self.rendered.append(
            {**project.numbers, "muted": [t.strings["P_NAME"] for t in project.tracks if t.values["B_MUTE"]]}
        )
        self.clock += MODAL
        if self.break_render:
            return
        rate = int(project.numbers["RENDER_SRATE"])
        if project.numbers["RENDER_SETTINGS"] == 32:
            item = next(found for found in self._items(project) if found.selected)
            seconds = item.values["D_LENGTH"]
        else:
            seconds = project.numbers["RENDER_ENDPOS"] - project.numbers["RENDER_STARTPOS"]
        path = Path(project.strings["RENDER_FILE"]) / f"{project.strings['RENDER_PATTERN']}.wav"
        soundfile.write(path, np.zeros((round(seconds * rate), 2)), rate, subtype="FLOAT")

    # -- driving it

    def tick(self, seconds: float = 0.03) -> None:
        """One turn of REAPER's main loop: everything deferred runs once."""
        self.clock += seconds
        waiting, self.deferred = self.deferred, []
        for function in waiting:
            function()

    def undo(self, project: Project) -> None:
        """The user takes the newest undo step back."""
        project.undo.pop()
        project.tracks = []
        for track, values, items in project.before.pop():
            track.values, track.items = values, []
            project.tracks.append(track)
            for item, item.values, item.takes, item.active in items:
                track.items.append(item)

    def quit(self) -> None:
        """The program ends: deferred scripts never run again, exit functions do."""
        self.deferred = []
        for function in self.at_exit:
            function()
        self.at_exit = []


def write_rpp(project: Project, path: Path) -> None:
    """The state as the part of a project file that holds tracks, items and takes."""
    lines = ['<REAPER_PROJECT 0.1 "7.0/fake" 0']
    for track in project.tracks:
        lines += [
            "  <TRACK",
            f'    NAME "{track.strings["P_NAME"]}"',
            f"    ISBUS 0 {int(track.values['I_FOLDERDEPTH'])}",
        ]
        for item in track.items:
            lines += [
                "    <ITEM",
                f"      POSITION {item.values['D_POSITION']:.14g}",
                f"      LENGTH {item.values['D_LENGTH']:.14g}",
            ]
            for index, take in enumerate(item.takes):
                if index:
                    lines.append("      TAKE SEL" if index == item.active else "      TAKE")
                lines += [f'      NAME "{take.strings["P_NAME"]}"', f"      SOFFS {take.values['D_STARTOFFS']:.14g}"]
                if take.source is None:
                    lines += ["      <SOURCE MIDI", "      >"]
                else:
                    kind = "FLAC" if take.source.path.suffix == ".flac" else "WAVE"
                    lines += [f"      <SOURCE {kind}", f'        FILE "{take.source.path}"', "      >"]
            lines.append("    >")
        lines.append("  >")
    path.write_text("\n".join([*lines, ">"]) + "\n", encoding="utf-8")


def read_rpp(path: Path) -> list[dict[str, Any]]:
    """Tracks of a project file, each with its items and their takes."""
    tracks: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines():
        word, _, rest = line.strip().partition(" ")
        value = rest.strip('"')
        if word == "<TRACK":
            tracks.append({"items": []})
        elif word == "<ITEM":
            tracks[-1]["items"].append({"takes": [{}]})
        elif word == "NAME" and not tracks[-1]["items"]:
            tracks[-1]["name"] = value
        elif word == "ISBUS":
            tracks[-1]["depth"] = int(rest.split()[1])
        elif word in ("POSITION", "LENGTH"):
            tracks[-1]["items"][-1][word.lower()] = float(rest)
        elif word == "TAKE":
            tracks[-1]["items"][-1]["takes"].append({"selected": "SEL" in rest})
        elif word in ("NAME", "SOFFS", "FILE"):
            tracks[-1]["items"][-1]["takes"][-1][word.lower()] = float(rest) if word == "SOFFS" else value
    return tracks
