"""Results on tracks of their own in the real Ardour: undo, keep, stems as a group, files that cannot be imported.

One session is driven once; every test looks at one thing of what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.client import Client
from bridge.hosts.ardour import register, slots
from bridge.hosts.bundle import bundle, modules, quote, shared_data
from bridge.launch import FREE_PORTS, start_daemon

from . import ardour_host
from .ardour_host import Ardour
from .ardour_studio import Studio, install_actions
from .conftest import sound
from .lua_host import SCRIPTS

FIRST, LAST = 96_000, 288_000
SENT_AT = 144_000

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600), pytest.mark.usefixtures("only_ardour")]

STUMBLE = "ACE-Step: stumble"

STUMBLE_SCRIPT = """ardour { ["type"] = "EditorAction", name = "%s" }
function factory()
%s
end
"""

STUMBLING = """function()
  local audio, lists = import('audio'), import('lists')
  local routes = lists.of(Session:get_tracks())
  local track = routes[1]:to_track()
  local region = lists.of(track:playlist():region_list())[1]
  pcall(audio.lay, { { track = track, region = region } }, 'without a name and a position')
  audio.lay({ { track = track, region = region, name = 'after it', position = 9 } }, 'after it')
end"""


LOOK = "ACE-Step: look"

LOOKING = """function()
  local view, audio, lists = import('view'), import('audio'), import('lists')
  local routes, out = lists.of(Session:get_tracks()), io.open(%s, 'w')
  local function seen()
    local selection, names = Editor:get_selection(), {}
    for _, route in ipairs(lists.of(selection.tracks:routelist())) do names[#names + 1] = route:name() end
    for _, region in ipairs(lists.of(selection.regions:regionlist())) do names[#names + 1] = 'region ' .. region:name() end
    table.sort(names)
    return table.concat(names, ',')
  end
  local function try(name)
    local before = seen()
    local ok = pcall(view.keep, function()
      audio.new_track(name, 2)
      out:write(seen(), ';')
      if name == 'failing' then error('in the middle') end
    end)
    out:write(name, ';', before, ';', seen(), ';', tostring(ok), '\\n')
  end
  Editor:access_action('Mixer', 'select-none')
  try('none')
  Editor:access_action('Editor', 'select-next-route')
  Editor:access_action('Editor', 'select-next-route')
  try('one')
  try('failing')
  local group = Session:new_route_group('pair')
  group:set_select(true)
  group:set_active(true, nil)
  group:add(routes[1])
  group:add(lists.of(Session:get_tracks())[#lists.of(Session:get_tracks())])
  Editor:access_action('Editor', 'select-next-route')
  while not routes[1]:is_selected() do Editor:access_action('Editor', 'select-next-route') end
  group:set_select(false)
  try('group')
  Session:remove_route_group(group)
  for _, other in ipairs(lists.of(Session:route_groups())) do Session:remove_route_group(other) end
  Editor:select_all_tracks()
  try('all')
  local list = ArdourUI.SelectionList()
  for _, region in ipairs(lists.of(routes[1]:to_track():playlist():region_list())) do
    list:push_back(Editor:regionview_from_region(region))
  end
  Editor:set_selection(list, ArdourUI.SelectionOp.Set)
  try('regions')
  out:write('end\\n')
  out:close()
end"""
"""Each way in which tracks or regions may be selected, and what is selected while and after a track is made."""


def install_with_stumble(config: Path, folder: Path) -> dict[str, int]:
    """Our actions, one that lays a region after an error in the middle of another edit, and `LOOK`; title -> slot."""
    install_actions(config, folder)
    registry = config / "ui_scripts"
    chunk = bundle(modules(SCRIPTS, "ardour"), shared_data(SCRIPTS, folder, ["serve"]), STUMBLING)
    looking = bundle(
        modules(SCRIPTS, "ardour"), shared_data(SCRIPTS, folder, ["serve"]), LOOKING % quote(str(folder / "looked"))
    )
    own = {
        "stumble.lua": STUMBLE_SCRIPT % (STUMBLE, chunk),
        "look.lua": STUMBLE_SCRIPT % (LOOK, looking),
    }
    registry.write_bytes(register(registry.read_bytes(), list(own.values()), "no hooks"))
    return slots(registry.read_bytes())


def stumble(studio: Studio) -> None:
    """An error in the middle of an edit, an edit after it, one step back."""
    studio.run("stumble")
    studio.ardour.wait_for(lambda: any(region[1] == "after it" for region in studio.regions()), "the edit")
    studio.see("edited")
    studio.undo()
    studio.see("edit undone")


def generate(studio: Studio) -> None:
    """Two variants on tracks of their own: one kept, that undone, everything undone, a step each."""
    studio.remember(generate={"variants": 2, "caption": "warm"})
    studio.run("Generate for selection or at cursor")
    studio.ardour.press_default(studio.ardour.dialog("Generate"))
    studio.settle(5)
    studio.see("generated")
    studio.seen["view"].append(studio.view())
    studio.select_track(max(set(studio.seen["generated"]) - set(studio.seen["edit undone"]))[0])
    studio.run("Keep the playing take, delete the other variants")
    studio.ardour.wait_for(lambda: len(studio.regions()) != len(studio.seen["generated"]), "the other one to go")
    studio.see("kept")
    for moment in ("keep undone", "all undone"):
        studio.undo()
        studio.see(moment)


def lose_a_file(studio: Studio) -> None:
    """A result waits; its copy is damaged, chosen, mended, chosen again."""
    studio.remember(generate={"caption": "late", "listen_first": True})
    studio.run("Generate for selection or at cursor")
    studio.ardour.press_default(studio.ardour.dialog("Generate"))
    studio.ardour.wait_for(studio.held, "a result that waits")
    (place,) = studio.held()[0]["list"]
    copy = studio.session / "acestep-bridge" / place["copy"]
    good = copy.read_bytes()
    copy.write_bytes(b"no audio at all")
    choose(studio)
    studio.ardour.press_default(studio.ardour.dialog("^ACE-Step$"))
    studio.ardour.wait_for(lambda: not studio.ardour.windows("^ACE-Step$"), "the end of the message")
    studio.see("not imported")
    studio.seen["waits"] = (len(studio.held()), copy.exists())
    copy.write_bytes(good)
    before = len(studio.recipes())
    choose(studio)
    studio.settle(before + 1)
    studio.see("imported")


def several(studio: Studio) -> None:
    """All regions of two tracks are repainted by one key press, that is undone, and what came is rolled again."""
    studio.see("at first")
    studio.ardour.click((250, 360))
    studio.ardour.click((300, 424), holding="ctrl")
    studio.ardour.wait_for(lambda: studio.view_of("region") == ["loop", "other"], "two selected regions")
    studio.remember(repaint={"caption": "both", "variants": 2})
    studio.run("Repaint selection with the last settings")
    studio.settle(2)
    studio.see("both")
    studio.seen["both made"] = studio.recipes()
    studio.seen["both selected"] = studio.view_of("region")
    studio.undo()
    studio.see("both undone")


def send(studio: Studio) -> None:
    """Somebody sends a result from the page while the playhead stands somewhere."""
    studio.see("before it was sent")
    studio.ardour.locate(SENT_AT)
    with Client(str(studio.home)) as client:
        asked = {"caption": "from the browser", "duration": 10.0}
        job = client.call("job.submit", {"operation": "generate", "params": asked})["id"]
        while not client.call("job.wait", {"id": job, "timeout": 5.0})["terminal"]:
            pass
        client.call("handover.send", {"job": job, "host": "ardour"})
        count = len(studio.seen["before it was sent"])
        studio.ardour.wait_for(lambda: len(studio.regions()) > count, "what was sent")
        studio.seen["still waiting"] = client.call("handover.list")
    studio.see("sent")


def choose(studio: Studio) -> None:
    studio.run("Place a waiting result")
    studio.ardour.press_default(studio.ardour.dialog("Place a waiting result"))


def drive(studio: Studio) -> None:
    """Stems first; the user's selection, zoom and playhead are looked at before and after each of these."""
    several(studio)
    studio.select(FIRST, LAST)
    studio.select_track("Loop")
    studio.zoom_in()
    studio.seen["view"] = [studio.view()]
    studio.remember(extract={"track": ["drums", "bass"]})
    studio.run("Extract stems from selection")
    studio.ardour.press_default(studio.ardour.dialog("Extract"))
    studio.settle(4)
    studio.see("extracted")
    studio.seen["groups"] = groups(studio.session)
    studio.seen["view"].append(studio.view())
    stumble(studio)
    generate(studio)
    lose_a_file(studio)
    send(studio)
    look(studio)


def look(studio: Studio) -> None:
    """Every kind of selection, before and after a track is made."""
    studio.run("look")
    record = studio.folder / "looked"
    studio.ardour.wait_for(lambda: record.exists() and record.read_text("utf-8").endswith("end\n"), "every selection")
    lines = [line.split(";") for line in record.read_text("utf-8").splitlines()[:-1]]
    studio.seen["looked"] = {name: (before, during, after, ok) for during, name, before, after, ok in lines}


def groups(session: Path) -> dict[str, tuple[str, set[str]]]:
    """The groups of a saved session: name -> whether they are switched on, and the names of their tracks."""
    names = ardour_host.tracks(session)
    return {
        group.get("name", ""): (group.get("active", ""), {names[route] for route in group.get("routes", "").split()})
        for group in ardour_host.state(session).iter("RouteGroup")
    }


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Iterator[Studio]:
    for program in ("ardour", "ardour7-lua", "Xvfb", "xdotool"):
        foreign(program)
    folder = tmp_path_factory.mktemp("parts")
    session = ardour_host.make_session(folder, "song", ["Loop", "Other"], 120.0)
    ardour_host.place_file(session, sound(folder / "loop.wav", seconds=10.0), "Loop", 0)
    ardour_host.place_file(session, sound(folder / "other.wav", seconds=4.0), "Other", 48_000)
    config, home = folder / "xdg" / "ardour7", folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_BRIDGE_HOME", str(home))
        slot = install_with_stumble(config, folder)
        settings = {**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [folder]}
        with start_daemon(settings), Ardour(session, config) as ardour:
            found = Studio(folder, ardour, slot, home)
            found.wait_until_ready()
            drive(found)
    yield found


def test_several_regions_are_one_undo_step(studio: Studio) -> None:
    """Two regions on two tracks: two variants above each, over its own place; one step of undo takes all four away."""
    assert studio.seen["both selected"] == ["loop", "other"]
    made = [region for region in studio.seen["both"] if region not in studio.seen["at first"]]
    assert sorted(region[0] for region in made) == ["Loop", "Loop", "Other", "Other"]
    jobs = [recipe["pending"] for recipe in studio.seen["both made"]]
    assert sorted((job["first"], job["last"]) for job in jobs) == [(0, 480_000), (48_000, 240_000)]
    assert len({job["press"] for job in jobs}) == 1
    assert sorted(studio.seen["both undone"]) == sorted(studio.seen["at first"])


def test_stems_of_a_track_are_a_group(studio: Studio) -> None:
    """Two jobs, one group with the name of the track; it is switched off, so that a stem is muted alone."""
    assert studio.seen["groups"] == {"Loop stems": ("0", {"drums", "bass"})}


def test_placing_leaves_the_users_selection_and_view(studio: Studio) -> None:
    """Stems and generated parts came in, each on a new track: selected range and tracks, playhead, edit point, mouse
    mode, zoom and scroll position are as before."""
    before, *later = studio.seen["view"]
    assert before["range"] == [FIRST, LAST] and before["tracks"] == ["Loop"] and before["edit-point"]
    assert later == [before, before]


@pytest.mark.parametrize("kind", ["none", "one", "failing", "group", "all", "regions"])
def test_every_kind_of_selection_survives_a_new_track(studio: Studio, kind: str) -> None:
    """No track, one, an error in the middle, the tracks of a group that is off, all tracks, regions."""
    before, during, after, ok = studio.seen["looked"][kind]
    assert during != before == after and ok == ("false" if kind == "failing" else "true")
    assert len(before.split(",")) > 1 if kind in ("group", "all") else bool(before) == (kind != "none")


def test_one_undo_removes_the_variants_on_all_tracks(studio: Studio) -> None:
    """Two variants, a track each, and one step of undo takes both away."""
    made = [region for region in studio.seen["generated"] if region not in studio.seen["edit undone"]]
    assert [region[2:4] for region in made] == [(FIRST, LAST - FIRST)] * 2 and len({region[0] for region in made}) == 2
    assert sorted(studio.seen["all undone"]) == sorted(studio.seen["edit undone"])


def test_keep_removes_the_variant_on_the_other_track(studio: Studio) -> None:
    """One of the two stays, and all that is not among its alternatives; one undo brings the other back."""
    (gone,) = set(studio.seen["generated"]) - set(studio.seen["kept"])
    assert gone[1].startswith("generate") and set(studio.seen["kept"]) < set(studio.seen["generated"])
    assert sorted(studio.seen["keep undone"]) == sorted(studio.seen["generated"])


def test_an_error_in_the_middle_leaves_no_undo_step_open(studio: Studio) -> None:
    """What is done next is a step of its own."""
    added = set(studio.seen["edited"]) - set(studio.seen["extracted"])
    assert "after it" in {region[1] for region in added}
    assert "after it" not in {region[1] for region in studio.seen["edit undone"]}


def test_what_was_sent_from_the_page_lies_at_the_playhead(studio: Studio) -> None:
    """On a new track, whole; the hook took it by itself, and nothing waits any more."""
    (region,) = set(studio.seen["sent"]) - set(studio.seen["before it was sent"])
    assert region[1].startswith("generate") and region[2:4] == (SENT_AT, 10 * 48_000)
    assert region[0] not in {other[0] for other in studio.seen["before it was sent"]}
    assert studio.seen["still waiting"] == []


def test_a_result_that_cannot_be_imported_waits(studio: Studio) -> None:
    """The user is told in a dialog, nothing changes, and the copy stays; it can be chosen again when it can be read."""
    assert sorted(studio.seen["not imported"]) == sorted(studio.seen["all undone"])
    assert studio.seen["waits"] == (1, True)
    (region,) = set(studio.seen["imported"]) - set(studio.seen["not imported"])
    assert region[1].startswith("generate") and region[2:4] == (FIRST, LAST - FIRST)


def test_the_copies_carry_no_recipe(studio: Studio) -> None:
    """Ardour's import makes mono files of samples alone, so the recipe lies beside them."""
    copies = list((studio.session / "interchange").rglob("*-ardour-*.wav"))
    assert copies
    for copy in copies:
        assert chunks(copy) == {b"fmt ", b"fact", b"data"}
    assert {chunk for path in studio.results() for chunk in chunks(path)} > {b"fmt ", b"data", b"bext"}
    assert {recipe["format"] for recipe in studio.recipes()} == {"acestep-bridge/take"}


def chunks(path: Path) -> set[bytes]:
    """The names of the chunks of a WAV file."""
    data, at, names = path.read_bytes(), 12, set()
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names
