"""The names of types in annotations. Only type checkers read this file: Live's own come from stubs of its interface."""

from typing import Any, TypeVar

from Live.Clip import Clip as Clip
from Live.ClipSlot import ClipSlot as ClipSlot
from Live.Song import Song as Song
from Live.TakeLane import TakeLane as TakeLane
from Live.Track import RoutingChannel, RoutingType
from Live.Track import Track as Track

Facts = dict[str, Any]
"""Plain data: what is known of a job, a stretch of a file, a result."""

Route = TypeVar("Route", RoutingType, RoutingChannel)
