"""Ways through the page that other tests do not take: the waveform by wheel and keys, what a take is used for."""

from __future__ import annotations

import json

import pytest

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
    values = [page.locator(f'main [data-field="{name}"] input').last.input_value() for name in ("seed", "reference")]
    assert values == [str(file["seed"]), file["path"]]


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
        facts.first.wait_for()
        assert facts.count() >= least, title
