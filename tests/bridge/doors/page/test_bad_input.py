"""What goes wrong for people: files of two hours, reloads during an upload, no network; each has its sentence."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.bridge.doors.page.waiting import becomes, expect

pytestmark = pytest.mark.foreign

SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
"""Bytes a second that an upload gets."""


def test_two_hours_of_sound_open_and_can_be_marked(tab, tmp_path):
    """Sent, drawn from peaks, and a region at its end is what the request names; nothing is decoded in the browser."""
    path = tmp_path / "two hours.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC") as file:
        for _ in range(120):
            file.write(np.zeros(60 * 8_000, np.int16))
    one = tab()
    page = one.open("#edit")
    page.locator('input[type="file"]').first.set_input_files(str(path))
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    becomes(page, "document.querySelector('wave-view').length", 7_200 * 8_000)
    page.locator('[data-act="add-region"]').click()
    region = page.locator(".region")
    for edge, text in (("end", "2:00:00"), ("start", "1:59:50")):
        region.locator(f'input[data-edge="{edge}"][data-kind="time"]').fill(text)
        region.locator(f'input[data-edge="{edge}"][data-kind="time"]').blur()
    becomes(page, "document.querySelector('wave-view').regions", [{"start": 57_520_000, "end": 57_600_000}])


def test_a_reload_in_the_middle_of_an_upload_is_told_and_leaves_nothing(tab, house, tmp_path):
    """The page names the file to choose again; the daemon keeps no part of it; sending can be stopped, too."""
    path = tmp_path / "long one.wav"
    soundfile.write(path, np.random.default_rng(1).standard_normal((600_000, 2)) / 8, 48_000, subtype="PCM_24")
    one = tab()
    page = one.open("#edit")
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    chooser = page.locator('input[type="file"]').first
    kept = {file.name for file in (house.home / "uploads").glob("*")}
    chooser.set_input_files(str(path))
    one.until("document.querySelector('.drop progress').value > 0.02")
    page.reload()
    page.locator(".drop .error").filter(has_text="The reload interrupted the upload of long one.wav").wait_for()
    chooser.set_input_files(str(path))
    one.until("document.querySelector('.drop progress').value > 0.02")
    page.get_by_role("button", name="Stop uploading").click()
    page.locator(".drop .error").filter(has_text="Uploading long one.wav was stopped").wait_for()
    for _ in range(200):
        if {file.name for file in (house.home / "uploads").glob("*")} == kept:
            break
        page.wait_for_timeout(100)
    assert {file.name for file in (house.home / "uploads").glob("*")} == kept


def test_without_a_network_the_daemon_of_this_machine_goes_on(tab):
    """A laptop without a network still has its own machine: nothing is said and nothing breaks. (What is done about a daemon
    elsewhere is a rule of the client, tested in its own module.)"""
    one = tab()
    page = one.open("#create")
    page.evaluate("dispatchEvent(new Event('offline'))")
    assert page.evaluate("studio.call('status', {}).then((one) => one.program)") == "acestep-bridge"
    expect(page.locator("#banner")).to_be_hidden()
