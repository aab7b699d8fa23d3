"""Create in Chromium, what helps with words and settings: import, codes, the library of prompts, timesteps, keep creating."""

from __future__ import annotations

import json
import re

import pytest
import soundfile

from tests.bridge.doors.page.waiting import expect

pytestmark = pytest.mark.foreign


def custom(tab):
    """The custom form of a fresh tab."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    page.locator('[data-act="import"]').wait_for()
    return one, page


def says(page, **values):
    """Wait until fields of the form say this."""
    for name, value in values.items():
        field = page.locator(f'main [data-field="{name}"] :is(input[type=text], textarea)').last
        expect(field).to_have_value(value)


def choose(page, file):
    """Import a file."""
    with page.expect_file_chooser() as chosen:
        page.locator('[data-act="import"]').click()
    chosen.value.set_files(file)


def test_settings_come_out_of_a_wav_of_ours_out_of_json_and_nothing_else(tab, song, house, tmp_path):
    """A take carries its recipe. A foreign sound is for the language model, of which there is none here."""
    one, page = custom(tab)
    choose(page, song["result"]["files"][0]["path"])
    one.until(
        "[...document.querySelectorAll('[data-field=caption] textarea')].some((one) => one.value.includes('rhodes'))"
    )
    says(page, bpm="120", seed="7", duration="16")
    expect(page.get_by_role("radio", name="2", exact=True)).to_have_attribute("aria-checked", "true")
    text = json.dumps({"operation": "generate", "params": {"caption": "from JSON", "variants": 5}})
    choose(page, {"name": "mine.json", "mimeType": "application/json", "buffer": text.encode()})
    one.until(
        "[...document.querySelectorAll('[data-field=caption] textarea')].some((one) => one.value === 'from JSON')"
    )
    says(page, bpm="")
    expect(page.get_by_role("radio", name="5", exact=True)).to_have_attribute("aria-checked", "true")
    for wrong in (b"{", b"[1, 2]", b'{"nothing": 1}'):
        choose(page, {"name": "wrong.json", "mimeType": "application/json", "buffer": wrong})
        page.locator("main .error").filter(has_text="has no settings").wait_for()
    foreign = tmp_path / "foreign.wav"
    soundfile.write(foreign, [[0.1, 0.1]] * 48_000, 48_000)
    choose(page, str(foreign))
    page.locator("main .error").filter(has_text="model").wait_for()
    says(page, caption="from JSON")


def test_codes_are_pasted_and_the_timesteps_drawn(tab):
    """In the planner's own spelling; describing them needs the language model, and says so. The curve is told in numbers."""
    one, page = custom(tab)
    page.locator('main details.group:has([data-field="audio_codes"]) > summary').click()
    page.locator('[data-field="audio_codes"] input').fill("<|audio_code_7|><|audio_code_63999|>")
    page.locator('[data-field="steps"] input').first.fill("4")
    page.locator('[data-field="steps"] input').first.blur()
    page.get_by_text("Timesteps", exact=True).last.click()
    one.until("document.querySelector('canvas.curve').getAttribute('aria-label')?.startsWith('4 steps')")
    page.locator('[data-act="describe-codes"]').click()
    page.locator("main .error").filter(has_text="model").wait_for()
    page.locator('[data-act="json"]').click()
    assert json.loads(page.locator("dialog pre").inner_text())["params"]["audio_codes"] == [7, 63999]


def test_what_was_used_before_is_found_again(tab, song):
    """The library of prompts: by a word of it, with its tempo."""
    page = custom(tab)[1]
    page.get_by_role("button", name="Used before").click()
    page.get_by_label("Search earlier descriptions").fill("rhodes")
    row = page.get_by_role("dialog").locator("li").filter(has_text="warm lofi house, rhodes").first
    row.get_by_role("button", name="Use").click()
    says(page, caption="warm lofi house, rhodes", bpm="120")


def test_keep_creating_is_an_order_of_the_daemon_and_ends_when_asked(tab, house):
    """Batch after batch, each with seeds of its own, over a reload; stopped from the page, nothing more comes."""
    page = custom(tab)[1]
    for name, text in {"caption": "again and again", "duration": "10", "steps": "1", "seed": "5"}.items():
        page.locator(f'[data-field="{name}"] :is(input[type=text], textarea)').first.fill(text)
    page.get_by_label("Keep creating").check()
    page.locator('[data-act="create"]').click()
    page.locator('[data-part="order"]').filter(has_text=re.compile("made: [1-9]")).wait_for()
    page.reload()
    page.locator('[data-part="order"]').filter(has_text=re.compile("made: [1-9]")).wait_for()
    page.locator('[data-act="stop-order"]').click()
    page.locator('[data-act="stop-order"]').wait_for(state="hidden")
    with house.client() as client:
        order = client.call("autogen.status", {})
    assert order["state"] == "ended" and order["params"]["caption"] == "again and again"
    assert "seed" not in order["params"]
