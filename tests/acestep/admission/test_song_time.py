"""The time of a request at the door: text becomes samples with the right value, and what was assumed is told."""

from __future__ import annotations

import pytest

from acestep.admission.render import admit_render
from acestep.api.errors import BadRequest, RegionOutside, TooLarge

SOURCE = {"source": "/song.wav"}
RATE = 44_100


def region(registry, host, **wish) -> tuple[float, float]:
    """Start and length, in seconds, of an edit."""
    source = admit_render(registry, "edit", {**SOURCE, **wish}, host).render.source
    return source.start / RATE, source.length / RATE


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"start": 44_100, "duration": 2.0}, (1, 2)),
        ({"start_seconds": 4.0, "duration": 2.5}, (4, 2.5)),
        ({"start": "bar3", "duration": "2bars", "bpm": 120.0}, (4, 4)),
        ({"start": "bar2.1.1", "end": "bar2.3", "bpm": 120.0}, (2, 1)),
        ({"start": "bar2.2.3", "duration": "1 beat", "bpm": 120.0}, (2.75, 0.5)),
        ({"start": "bar2", "duration": "1bar", "bpm": 120.0, "time_signature": "6/8"}, (1.5, 1.5)),
        ({"start": "bar2.4", "end": "bar3", "bpm": 120.0, "time_signature": "12/8"}, (3.75, 2.25)),
        ({"start": "bar2.5", "end": "bar3", "bpm": 120.0, "time_signature": "5/8"}, (2.25, 0.25)),
        ({"end": "0:30", "duration": "10s"}, (20, 10)),
        ({"duration": "800ms"}, (0, 0.8)),
        ({"start": "bar2", "end": "bar4", "duration": 4.0, "bpm": 120.0}, (2, 4)),
        ({"start": "bar1", "duration": "1bar", "bpm": 120.0, "bar_offset": "300ms"}, (0.3, 2)),
        ({"start": "bar2", "duration": "1bar", "bpm": 120.0, "bar_offset": -RATE}, (1, 2)),
    ],
)
def test_a_region_is_what_a_musician_means(registry, host, wish, expected):
    """Start with duration, beats and sixteenths, eighths where the metre says so, behind a pick-up."""
    assert region(registry, host, **wish) == expected


MAP = [
    {"sample": 13_230, "bpm": 120.0, "metre": "4/4", "bar": 1},
    {"sample": 13_230 + 4 * RATE, "bpm": 60.0, "metre": "6/8"},
]


def test_a_tempo_map_places_a_region_and_gives_its_tempo_and_metre(registry, host):
    """A pick-up of 0.3 s and a change at bar 3: the region lies on the map, and the model hears what holds there."""
    got = admit_render(registry, "edit", {**SOURCE, "start": "bar3", "duration": "2bars", "tempo_map": MAP}, host)
    assert (got.render.source.start, got.render.source.length) == (13_230 + 4 * RATE, 6 * RATE)
    assert (got.render.conditioning.bpm, got.render.conditioning.time_signature) == (60.0, "6")
    assert any("the tempo map gives 60 bpm" in note for note in got.notes)
    assert admit_render(registry, "render", got.render.to_recipe(), host).render == got.render


def test_the_canonical_request_holds_numbers_only(registry, host):
    """A recipe can be read by whoever knows no positions."""
    wish = {"start": "bar2", "end": "bar3", "bpm": 120.0, "bar_offset": "0.5s", "returns": ["span"]}
    got = admit_render(registry, "edit", {**SOURCE, **wish, "span_start": "bar1", "span_end": "bar4.2"}, host).render
    assert got.conditioning.bar_offset == RATE // 2
    assert (got.output.span_start, got.output.span_end) == (RATE // 2, RATE // 2 + int(6.5 * RATE))
    part = admit_render(registry, "make", {"duration": "2bars", "bpm": 90.0, "time_signature": "3/4"}, host).render
    assert (part.conditioning.duration, part.output.length) == (4.0, 192_000)
    part = admit_render(registry, "make", {"length": "2bars", "bpm": 90.0, "rate": 44_100}, host).render
    assert part.output.length == round(RATE * 8 * 60 / 90)
    nested = {"stages": [{"type": "edit"}], "source": {"path": "/song.wav", "start": 10, "length": 20}}
    assert (
        admit_render(registry, "render", {**nested, "conditioning": {"duration": "3s"}}, host).render.source.length
        == 20
    )


@pytest.mark.parametrize(
    ("wish", "error", "field"),
    [
        ({"start": "bar2"}, BadRequest, "start"),
        ({"start": "soon"}, BadRequest, "start"),
        ({"start": "bar2.5", "bpm": 120.0}, BadRequest, "start"),
        ({"start": "bar2.7", "bpm": 120.0, "time_signature": "6/8"}, BadRequest, "start"),
        ({"duration": "bar2", "bpm": 120.0}, BadRequest, "duration"),
        ({"duration": "600bars", "bpm": 120.0, "end": "bar3"}, TooLarge, "duration"),
        ({"start": 0, "end": RATE, "duration": 2.0}, BadRequest, "duration"),
        ({"start": "bar2", "start_seconds": 2.0, "bpm": 120.0}, BadRequest, "start_seconds"),
        ({"start": "bar3", "end": "bar2", "bpm": 120.0}, RegionOutside, "end"),
        ({"start": "bar31", "duration": "1bar", "bpm": 120.0}, RegionOutside, "start"),
        ({"bar_offset": 100}, BadRequest, "bpm"),
        ({"bar_offset": "2bars", "bpm": 120.0}, BadRequest, "bar_offset"),
        ({"bar_offset": 100, "bpm": 120.0, "tempo_map": MAP}, BadRequest, "bar_offset"),
        ({"tempo_map": []}, BadRequest, "tempo_map"),
        ({"tempo_map": [MAP[1], MAP[0]]}, BadRequest, "tempo_map[1].sample"),
        ({"tempo_map": [{"sample": 0, "bpm": 5.0}]}, BadRequest, "tempo_map[0].bpm"),
        ({"tempo_map": [{"sample": 0, "bpm": 120.0, "metre": "4/0"}]}, BadRequest, "tempo_map[0].metre"),
        ({"start": "bar1" * 200, "bpm": 120.0}, BadRequest, "start"),
    ],
)
def test_a_bad_time_is_one_error_that_names_its_field(registry, host, wish, error, field):
    with pytest.raises(error) as caught:
        admit_render(registry, "edit", {**SOURCE, **wish}, host)
    assert caught.value.field == field


def test_text_for_a_field_that_an_operation_does_not_have_is_refused(registry, host):
    with pytest.raises(BadRequest):
        admit_render(registry, "make", {"start": "bar2", "bpm": 120.0}, host)


def test_what_is_assumed_is_told(registry, host):
    """Bar 1 with the file, and a metre that the model does not know; nothing where nothing was assumed."""
    got = admit_render(registry, "edit", {**SOURCE, "start": "bar2", "bpm": 120.0, "time_signature": "5/4"}, host)
    assert got.render.conditioning.time_signature == "5/4"
    assert [note for note in got.notes if "bar 1 is assumed to begin with the file" in note]
    assert [note for note in got.notes if "does not know 5/4 and reads 4/4" in note]
    assert admit_render(registry, "edit", {**SOURCE, "start": 9, "bpm": 120.0}, host).notes == ()


@pytest.mark.parametrize(
    ("source", "conditioning", "region"),
    [
        ({"start": "bar2.2.2"}, {"bpm": 120.0, "time_signature": "12/8", "duration": "1bar"}, (148_838 / RATE, 3)),
        ({"start": RATE}, {"duration": 2.5}, (1, 2.5)),
        ({"end": "bar5"}, {"bpm": 120.0, "duration": "2bars"}, (4, 4)),
        ({}, {"bpm": 120.0, "time_signature": "5/8", "duration": "3beats"}, (0, 0.75)),
        ({"start_seconds": 2.0, "end_seconds": 4.0}, {"duration": 2.0}, (2, 2)),
    ],
)
def test_the_duration_is_the_regions_in_a_chain_too(registry, host, source, conditioning, region):
    """Where the source's length is left open and nothing new is made, as in the flat form; written down, it is read the same."""
    wish = {"stages": [{"type": "edit"}], "source": {"path": "/song.wav", **source}, "conditioning": conditioning}
    got = admit_render(registry, "render", wish, host).render
    assert (got.source.start, got.source.length) == (region[0] * RATE, region[1] * RATE)
    assert admit_render(registry, "render", got.to_recipe(), host).render == got
    old = {**wish, "version": 1}
    if "end" not in source and "end_seconds" not in source:  # the first version read it as it was meant then
        assert admit_render(registry, "render", old, host).render.source.length != region[1] * RATE
    with pytest.raises(BadRequest, match="leave one of them out"):
        admit_render(registry, "render", {**wish, "source": {"path": "/song.wav", "start": 0, "end": RATE * 9}}, host)
