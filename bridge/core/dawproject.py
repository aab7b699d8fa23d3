"""DAWproject 1.0, the open exchange format of Bitwig Studio, Studio One and Cubase: a zip of project.xml, metadata.xml and sounds.

Clips lie on a timeline of quarter notes, as the programs themselves write it, and play unwarped: their content counts seconds.
Numbers are written with every digit of a double, so a position is exact to far less than a sample.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as xml

from acestep import __version__
from acestep.api.errors import NotFound, OutputUnwritable
from bridge.core.arrangement import Arrangement, ProjectClip, ProjectSound, ProjectTrack

SUFFIX = ".dawproject"

FORBIDDEN = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""Characters that no XML document can hold; compiled when an export first needs it."""


def write_dawproject(arrangement: Arrangement, path: Path) -> Path:
    """Write the file, whole or not at all; sounds are copied into it. Raises `NotFound` or `OutputUnwritable`."""
    names = _sound_names(arrangement)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.xml", _text(_metadata(arrangement)), zipfile.ZIP_DEFLATED)
            archive.writestr("project.xml", _text(_Writer(arrangement, names).project()), zipfile.ZIP_DEFLATED)
            for sound, name in names.items():
                archive.write(sound, name)
        draft.replace(path)
    except FileNotFoundError as failure:
        if failure.filename and Path(failure.filename) in names:
            raise NotFound(f"{failure.filename} is no longer there, so it cannot be exported", field="id") from None
        raise OutputUnwritable(f"{path}: {failure.strerror}", field="out") from failure
    except OSError as failure:
        raise OutputUnwritable(f"{path}: {failure.strerror or failure}", field="out") from failure
    finally:
        draft.unlink(missing_ok=True)
    return path


def _sound_names(arrangement: Arrangement) -> dict[Path, str]:
    """What each sound is called inside the file: its own name, with a number where two have the same."""
    names: dict[Path, str] = {}
    for sound in (clip.sound for track in arrangement.tracks for clip in track.clips):
        if sound.path not in names:
            stem, suffix = Path(sound.name).stem, Path(sound.name).suffix
            tries = (f"audio/{stem}{f'-{number}' if number > 1 else ''}{suffix}" for number in count(1))
            names[sound.path] = next(name for name in tries if name not in names.values())
    return names


def _text(element: xml.Element) -> bytes:
    for inner in element.iter():
        inner.text = re.sub(FORBIDDEN, " ", inner.text) if inner.text else inner.text
        for key, value in inner.attrib.items():
            inner.set(key, re.sub(FORBIDDEN, " ", value))
    xml.indent(element)
    found: bytes = xml.tostring(element, encoding="UTF-8", xml_declaration=True)
    return found


def _metadata(arrangement: Arrangement) -> xml.Element:
    root = xml.Element("MetaData")
    xml.SubElement(root, "Title").text = arrangement.title
    xml.SubElement(root, "Comment").text = arrangement.comment
    return root


def _element(parent: xml.Element, tag: str, **attributes: object) -> xml.Element:
    return xml.SubElement(parent, tag, {name: _value(value) for name, value in attributes.items() if value is not None})


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


class _Writer:
    """Writes project.xml; counts the ids that its parts refer to each other by."""

    def __init__(self, arrangement: Arrangement, names: dict[Path, str]) -> None:
        self._arrangement = arrangement
        self._names = names
        self._numbers = count(1)

    def _id(self) -> str:
        return f"id{next(self._numbers)}"

    def project(self) -> xml.Element:
        root = xml.Element("Project", {"version": "1.0"})
        _element(root, "Application", name="acestep-bridge", version=__version__)
        tempo, metre = self._transport(root)
        structure = _element(root, "Structure")
        master = self._id()
        tracks = [(self._track(structure, track, master), track) for track in self._arrangement.tracks]
        self._master(structure, master)
        arranged = _element(root, "Arrangement", id=self._id())
        lanes = _element(arranged, "Lanes", timeUnit="beats", id=self._id())
        for track_id, track in tracks:
            self._clips(_element(lanes, "Lanes", track=track_id, id=self._id()), track)
        self._markers(arranged)
        self._automation(arranged, tempo, metre)
        return root

    def _transport(self, root: xml.Element) -> tuple[str, str]:
        transport, tempo, metre = _element(root, "Transport"), self._id(), self._id()
        _, bpm, first = next(iter(self._points()))
        _element(transport, "Tempo", unit="bpm", value=float(bpm), min=10.0, max=1000.0, id=tempo, name="Tempo")
        numbers = {"numerator": first[0], "denominator": first[1]}
        _element(transport, "TimeSignature", **numbers, id=metre)
        return tempo, metre

    def _track(self, structure: xml.Element, track: ProjectTrack, master: str) -> str:
        found = self._id()
        row = _element(structure, "Track", contentType="audio", loaded=True, id=found, name=track.name)
        width = max(clip.sound.channels for clip in track.clips)
        self._channel(row, self._id(), track.muted, audioChannels=width, destination=master, role="regular")
        return found

    def _master(self, structure: xml.Element, channel: str) -> None:
        row = _element(structure, "Track", contentType="audio", loaded=True, id=self._id(), name="Master")
        self._channel(row, channel, False, audioChannels=2, role="master")

    def _channel(self, row: xml.Element, channel: str, muted: bool, **attributes: object) -> None:
        strip = _element(row, "Channel", **attributes, id=channel)
        _element(strip, "Mute", value=muted, id=self._id(), name="Mute")
        _element(strip, "Pan", unit="normalized", value=0.5, min=0.0, max=1.0, id=self._id(), name="Pan")
        _element(strip, "Volume", unit="linear", value=1.0, min=0.0, max=2.0, id=self._id(), name="Volume")

    def _clips(self, lane: xml.Element, track: ProjectTrack) -> None:
        clips = _element(lane, "Clips", id=self._id())
        for clip in sorted(track.clips, key=lambda one: one.seconds):
            self._clip(clips, clip)

    def _clip(self, clips: xml.Element, clip: ProjectClip) -> None:
        first, last = (self._arrangement.beat(seconds) for seconds in clip.seconds)
        rate = clip.sound.rate
        row = _element(
            clips,
            "Clip",
            time=first,
            duration=last - first,
            contentTimeUnit="seconds",
            playStart=clip.offset / rate,
            playStop=(clip.offset + clip.length) / rate,
            name=clip.name,
        )
        self._audio(row, clip.sound)

    def _audio(self, row: xml.Element, sound: ProjectSound) -> None:
        facts = {"channels": sound.channels, "duration": sound.frames / sound.rate, "sampleRate": sound.rate}
        audio = _element(row, "Audio", **facts, timeUnit="seconds", id=self._id())
        _element(audio, "File", path=self._names[sound.path], external=False)

    def _markers(self, arranged: xml.Element) -> None:
        if not self._arrangement.regions:
            return
        rows = [(region.start, region.name) for region in self._arrangement.regions]
        rows += [(region.end, f"{region.name}: end") for region in self._arrangement.regions]
        markers = _element(arranged, "Markers", timeUnit="beats", id=self._id())
        for seconds, name in sorted(rows):
            _element(markers, "Marker", time=max(self._arrangement.beat(seconds), 0.0), name=name)

    def _automation(self, arranged: xml.Element, tempo: str, metre: str) -> None:
        points = list(self._points())
        row = _element(arranged, "TempoAutomation", timeUnit="beats", unit="bpm", id=self._id())
        _element(row, "Target", parameter=tempo)
        for beat, bpm, _ in points:
            _element(row, "RealPoint", time=beat, value=float(bpm), interpolation="hold")
        row = _element(arranged, "TimeSignatureAutomation", timeUnit="beats", id=self._id())
        _element(row, "Target", parameter=metre)
        for beat, _, (numerator, denominator) in points:
            _element(row, "TimeSignaturePoint", time=beat, numerator=numerator, denominator=denominator)

    def _points(self) -> Iterator[tuple[float, float, tuple[int, int]]]:
        """Beat, bpm and metre of every change of the tempo map, the first at the project's beginning."""
        rows = [
            (one.quarter - self._arrangement.origin, one.bpm, (one.metre.numerator, one.metre.denominator))
            for one in self._arrangement.tempo.stretches
        ]
        before = [row for row in rows if row[0] <= 0.0]
        yield (0.0, *(before[-1] if before else rows[0])[1:])
        yield from (row for row in rows if row[0] > 0.0 and row is not rows[0])
