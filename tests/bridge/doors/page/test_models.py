"""The view of models in Chromium: downloads from a local hub, licences, memory, adapters; before a real daemon with nano."""

from __future__ import annotations

import threading

import pytest

from tests.bridge.doors.page.waiting import becomes, expect

pytestmark = pytest.mark.foreign

NAME = "lm-0.6B"
WEIGHTS = "model.safetensors"


@pytest.fixture
def hub(house):
    """The local hub; no file of it is held back afterwards."""
    yield house.hub
    for event in house.hub.held.values():
        event.set()
    house.hub.held.clear()


def test_a_download_tells_its_bytes_can_be_cancelled_and_is_resumed(tab, house, hub):
    """Size and licence first, then bytes; what was fetched is kept; the model can be verified and removed again."""
    hub.held[WEIGHTS] = threading.Event()
    one = tab()
    page = one.open("#models")
    absent, here = (
        page.locator(f'#models-absent [data-model="{NAME}"]'),
        page.locator(f'#models-here [data-model="{NAME}"]'),
    )
    absent.get_by_role("button", name=f"Download {NAME}").click()
    dialog = page.get_by_role("dialog")
    for words in ("To download 1.4 GB", "Licence MIT"):
        expect(dialog).to_contain_text(words, use_inner_text=True)
    dialog.locator('[data-act="start"]').click()
    absent.locator('[data-part="bytes"]').filter(has_text="MB of ").wait_for()
    absent.get_by_role("button", name=f"Cancel {NAME}").click()
    job = page.evaluate("[...studio.store.jobs.values()].filter((one) => one.operation === 'model-download').pop().id")
    one.ended(job, "cancelled")
    hub.held.pop(WEIGHTS).set()
    hub.asked.clear()
    absent.get_by_role("button", name=f"Download {NAME}").click()
    dialog.locator('[data-act="start"]').click()
    here.wait_for()
    assert next(wanted for name, wanted in hub.asked if name == WEIGHTS).startswith("bytes=")
    here.get_by_role("button", name=f"More for {NAME}").click()
    page.get_by_role("menuitem", name="Verify the files").click()
    page.get_by_role("dialog").get_by_text("All files are complete").wait_for()
    page.keyboard.press("Escape")
    here.get_by_role("button", name=f"More for {NAME}").click()
    page.get_by_role("menuitem", name="Remove").click()
    becomes(page, "document.activeElement.textContent", "Save")
    page.locator('dialog [data-act="yes"]').click()
    absent.wait_for()


def test_a_download_of_another_client_is_followed_and_its_failure_is_told(tab, house, hub):
    """The hub has no such model: the card is as before, and the daemon's sentence is said."""
    one = tab()
    page = one.open("#models")
    hub.held[WEIGHTS] = threading.Event()
    with house.client() as client:
        job = client.call("job.submit", {"operation": "model-download", "params": {"model": NAME}})["id"]
        page.locator(f'#models-absent [data-model="{NAME}"] progress').wait_for()
        client.call("job.cancel", {"id": job})
        page.locator(f'#models-absent [data-model="{NAME}"] [data-act="get"]').wait_for()
        failed = client.call(
            "job.submit", {"operation": "model-download", "params": {"model": "base", "hub": "huggingface"}}
        )["id"]
    one.ended(failed, "failed")
    page.locator(".toast.bad").filter(has_text="model-download failed").wait_for()


def test_a_licence_that_forbids_commerce_needs_a_yes(tab):
    """Said on the card and in the dialog; without the yes nothing begins. A free one asks nothing."""
    one = tab()
    page = one.open("#models")
    card = page.locator('#models-absent [data-model="musicgen-small"]')
    expect(card).to_contain_text("CC-BY-NC-4.0")
    expect(card).to_contain_text("forbids commercial use")
    card.locator('[data-act="get"]').click()
    start = page.locator('dialog [data-act="start"]')
    expect(start).to_be_disabled()
    page.get_by_role("dialog").get_by_role("checkbox").check()
    expect(start).to_be_enabled()
    page.keyboard.press("Escape")
    page.locator('#models-absent [data-model="turbo"] [data-act="get"]').click()
    expect(start).to_be_enabled()
    expect(page.get_by_role("dialog").get_by_role("checkbox")).to_have_count(0)


def test_memory_is_told_and_freed(tab, song):
    """The loaded model has its mark and its bytes; unloading takes both away, by the keyboard."""
    one = tab()
    page = one.open("#models")
    card = page.locator('#models-here [data-model="nano"]')
    unload = card.get_by_role("button", name="Unload nano")
    unload.wait_for()
    expect(card).to_contain_text("loaded")
    expect(page.locator(".facts").first).to_contain_text("MB")
    one.picture("models")
    unload.focus()
    page.keyboard.press("Enter")
    unload.wait_for(state="hidden")
    expect(page.locator(".facts").first).to_contain_text("nothing")
    card.get_by_role("button", name="Use nano in Create").click()
    one.until("location.hash === '#create'")
    expect(page.locator('[data-field="model"] select:visible').first).to_have_value("nano")
