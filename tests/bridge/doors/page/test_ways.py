"""Ways through the page that other tests do not take: the waveform by wheel and keys, what a take is used for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from tests.bridge.doors.page.waiting import becomes, expect

from .test_studio import edit, fill

pytestmark = pytest.mark.foreign

WAVE = "document.querySelector('wave-view')"


def test_the_waveform_is_zoomed_by_wheel_overview_and_keys(tab, song):
    """The wheel keeps what is under the pointer, the overview jumps, 0 shows all, + goes nearer."""
    one = tab()
    page = edit(one, song)
    box = page.locator("wave-view canvas.main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    one.until(f"{WAVE}.window.span < 0.9 * {WAVE}.length && {WAVE}.window.start > 0")
    overview = page.locator("wave-view canvas.overview")
    size = overview.bounding_box()
    overview.click(position={"x": size["width"] - 2, "y": size["height"] / 2})
    one.until(f"{WAVE}.window.end > 0.99 * {WAVE}.length")
    page.locator("wave-view .wave").focus()
    page.keyboard.press("0")
    one.until(f"{WAVE}.window.span >= {WAVE}.length")
    page.keyboard.press("+")
    one.until(f"{WAVE}.window.span < {WAVE}.length")


def test_the_song_is_played_by_keys_wherever_the_focus_is(tab, song):
    """Space plays and pauses from the page, the waveform and the edge of a region; Home and B move; an edge keeps its own Home."""
    one = tab()
    page = edit(one, song)
    press, wave = page.keyboard.press, page.locator("wave-view .wave")
    page.evaluate(f"{WAVE}.setRegions([{{ start: 96_000, end: 192_000 }}])")
    edge = page.locator("wave-view .edge").first
    for focus in (lambda: page.evaluate("document.activeElement.blur()"), wave.focus, edge.focus):
        focus()
        press("Space")
        one.until("studio.player.playing")
        press("Space")
        one.until("!studio.player.playing")
    press("Home")
    becomes(page, f"{WAVE}.regions[0].start", 0)
    wave.focus()
    page.evaluate("studio.player.seek(12)")
    press("b")
    one.until("Math.abs(studio.player.seconds - 7) < 0.01")
    press("Home")
    one.until("studio.player.seconds === 0")
    page.evaluate(f"{WAVE}.setRegions([])")


def test_space_plays_a_song_whose_waveform_is_still_being_drawn(tab, song):
    """The peaks of a long song take a while; the page gets the first half of these and waits for the rest."""
    one = tab()
    one.page.add_init_script(
        """globalThis.rest = {};
        const [fetched, held] = [globalThis.fetch, new Promise((done) => { rest.send = done; })];
        globalThis.fetch = async (address, ...more) => {
          const answer = await fetched(address, ...more);
          if (!String(address).includes("/peaks/")) return answer;
          const bytes = new Uint8Array(await answer.arrayBuffer());
          const body = new ReadableStream({
            async start(control) {
              control.enqueue(bytes.slice(0, bytes.length / 2));
              await held;
              control.enqueue(bytes.slice(bytes.length / 2));
              control.close();
            },
          });
          return new Response(body, { headers: answer.headers });
        };"""
    )
    page = one.open(f"#edit/{song['id']}/1")
    one.until(f"{WAVE}?.peaks?.count > 0")
    page.keyboard.press("Space")
    one.until("studio.player.playing")
    becomes(page, f"{WAVE}.peaks.whole", False)
    page.evaluate("rest.send()")
    one.until(f"{WAVE}.peaks.whole")
    becomes(page, "studio.player.playing", True)
    page.keyboard.press("Space")
    one.until("!studio.player.playing")


def test_a_source_that_was_left_opens_again(tab, song):
    """With its waveform, the second time as the first."""
    one = tab()
    page = edit(one, song)
    page.get_by_role("button", name="Another sound").click()
    page.locator("wave-view").wait_for(state="hidden")
    page.evaluate(f"location.hash = '#edit/{song['id']}/0'")
    page.locator("wave-view").wait_for()


def test_a_stored_step_is_continued(tab, house):
    """From the list and from the menu of its result: the stored take of the two, to the bit, to the end of its chain."""
    stages = [{"type": "generate", "steps": 4, "seeds": [11, 12], "checkpoint_step": 2}, {"type": "refine", "steps": 2}]
    asked = {"conditioning": {"caption": "half way", "duration": 10.0}, "stages": stages, "output": {"variants": 2}}
    made = house.run("render", **asked)
    takes = parts(made)
    step = f"{made['id']}/1-generate-2-step-2.safetensors"
    one = tab()
    page = one.open("#library")
    page.locator("details.panel > summary").click()
    page.get_by_role("button", name=f"Continue from {step}", exact=True).click()
    first = continued(one)
    assert np.array_equal(parts(first), takes[1:])
    card = page.locator(f'main [data-result="{made["id"]}"]')
    card.locator("> .top-line").get_by_role("button", name="More for this result").click()
    page.get_by_role("menuitem", name="Continue from 1-generate-1-step-2.safetensors").click()
    second = continued(one, first["id"])
    assert np.array_equal(parts(second), takes[:1])

    house.run("latent-delete", latent=step)
    page.get_by_role("button", name=f"Continue from {step}", exact=True).click()
    page.locator(".toast").filter(has_text=step).wait_for()


def parts(job):
    """The samples of a job's takes."""
    return [soundfile.read(file["path"])[0] for file in job["result"]["files"] if file["role"] == "part"]


def continued(one, but=""):
    """The job that continues a stored step, at its end."""
    newest = "[...studio.store.jobs.values()].filter((job) => job.operation === 'render' && job.id.startsWith('page-')).pop()?.id"
    return one.ended(one.until(f"but => {{ const id = {newest}; return id !== but && id; }}", but))


def test_bar_one_is_set_and_the_strength_of_a_cover_drawn(tab, song):
    """The request says where bar 1 is; the line over the waveform moves with the strength."""
    one = tab()
    page = edit(one, song)
    page.evaluate(f"{WAVE}.playhead = 12_000")
    page.locator('[data-act="bar-one"]').click()
    one.until(f"{WAVE}.grid.offset === 12_000")
    page.locator('[data-act="add-region"]').click()
    page.get_by_role("radio", name="Cover", exact=True).click()
    one.until(f"{WAVE}.strength === 1")
    picture = f"{WAVE}.main.toDataURL()"
    whole = page.evaluate(f"new Promise((done) => requestAnimationFrame(() => setTimeout(() => done({picture}))))")
    fill(page, "strength", "0.4")
    one.until(f"{WAVE}.strength === 0.4")
    one.until(f"before => {picture} !== before", whole)
    page.get_by_role("button", name="Show request").click()
    params = json.loads(page.locator("dialog pre").inner_text())["params"]
    assert (params["bar_offset"], params["strength"], params["bpm"]) == (12_000, 0.4, 120)


def test_a_take_gives_its_seed_and_itself_as_reference(tab, song):
    """One after the other into the same form."""
    one = tab()
    page = one.open("#library")
    for what in ("Use its seed", "Use as reference"):
        page.evaluate("location.hash = '#library'")
        page.locator(f'main [data-result="{song["id"]}"]').get_by_role("button", name="More for part 2").click()
        page.get_by_role("menuitem", name=what).click()
        one.until("location.hash === '#create'")
    file = song["result"]["files"][1]
    for name, value in (("seed", str(file["seed"])), ("reference", file["path"])):
        expect(page.locator(f'main [data-field="{name}"] input').last).to_have_value(value)


def test_words_are_improved_by_rules_and_the_system_says_what_is_in_use(tab, song):
    """Format without a language model; facts of the machine and its limits."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    fill(page, "caption", "calm piano at 90")
    page.get_by_role("button", name="Improve the text").click()
    one.until("[...studio.store.jobs.values()].some((job) => job.operation === 'format' && job.state === 'done')")
    one.until("[...document.querySelectorAll('main [data-field=bpm] input')].some((one) => one.value === '90')")
    page.evaluate("location.hash = '#system'")
    for title, least in (("Machine", 6), ("Limits", 3)):
        facts = page.locator(".panel").filter(has=page.get_by_role("heading", name=title, exact=True)).locator("dd")
        facts.nth(least - 1).wait_for()


@pytest.mark.parametrize(
    ("name", "operation", "fields", "role", "seconds"),
    [
        ("Cover", "cover", {"caption": "string quartet", "strength": "0.5"}, "part", 16),
        ("Extend", "extend", {"caption": "string quartet"}, "whole", 20),
        ("Extract", "extract", {"track": "bass"}, "stem", 16),
        ("Add a track", "lego", {"track": "bass"}, "part", 16),
        ("Complete", "complete", {"caption": "drums and bass"}, "part", 16),
        ("Edit by words", "flow-edit", {"caption": "string quartet", "source_caption": "lofi house"}, "part", 16),
    ],
)
def test_every_operation_on_a_song_runs_from_edit(tab, song, name, operation, fields, role, seconds):
    """Each with its own form; the result stands below, as long as the song (or longer, where it goes on)."""
    one = tab()
    page = edit(one, song)
    page.get_by_role("radio", name=name, exact=True).click()
    for field, value in {**fields, "steps": "1"}.items():
        fill(page, field, value)
    if operation == "extend":
        page.get_by_label("Seconds after the end").fill("4")
    page.locator('[data-act="edit"]').click()
    mine = "[...studio.store.jobs.values()].find((job) => job.operation === name && job.id.startsWith('page-'))?.id"
    found = one.ended(one.until(f"name => {mine}", operation))
    sound = next(file for file in found["result"]["files"] if file["role"] == role)
    assert sound["length"] == seconds * 48_000
    page.locator(f'[data-result="{found["id"]}"]').get_by_text(f"Result of {operation}").wait_for()
