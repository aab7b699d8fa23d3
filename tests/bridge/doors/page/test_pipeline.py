"""The page's Pipeline view in Chromium, before a real daemon with the embedded model."""

from __future__ import annotations

import json

import pytest

from tests.bridge.doors.page.waiting import becomes, expect

from .test_studio import fill

pytestmark = pytest.mark.foreign

READY = '[data-part="state"][data-ready="true"]'


def stage(page, number):
    """The card of a stage, counted from 1."""
    return page.locator(f'ol.stages > li[data-stage="{number - 1}"]')


def stands(page, *kinds):
    """Wait until these are the kinds of the stages, in order."""
    expect(page.locator("ol.stages > li h3")).to_have_text(list(kinds))


def add(page, kind):
    """A further stage at the end."""
    before = page.locator("ol.stages > li").count()
    page.get_by_label("Stage type").select_option(kind)
    page.locator('[data-act="add-stage"]').click()
    stage(page, before + 1).wait_for()


def request_of(page):
    """The request as the page shows it."""
    page.locator('main [data-act="json"]').click()
    shown = json.loads(page.locator("dialog pre").inner_text())
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    return shown


def drag(page, number, to):
    """A stage onto another one's place, by mouse."""
    grip = stage(page, number).locator('[data-act="grip"]')
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] + 15, steps=3)
    page.locator("ol.stages.dragging").wait_for()
    target = stage(page, to).bounding_box()
    page.mouse.move(target["x"] + 50, target["y"] + target["height"] / 2, steps=4)
    page.mouse.up()
    page.locator("ol.stages:not(.dragging)").wait_for()


def state(page, words):
    """Wait for what the page says about the chain."""
    page.locator('[data-part="state"]').filter(has_text=words).wait_for()


def load(page, data):
    """Import a file."""
    text = data if isinstance(data, str) else json.dumps(data)
    with page.expect_file_chooser() as chooser:
        page.locator('[data-act="import"]').click()
    chooser.value.set_files({"name": "chain.json", "mimeType": "application/json", "buffer": text.encode()})


def test_two_stages_and_a_preview(tab):
    """Each with its own settings, one with its own words from the assistant; both can be heard, the preview named as one."""
    one = tab()
    page = one.open("#pipeline")
    add(page, "refine")
    fill(page, "caption", "dub techno")
    fill(page, "duration", "10")
    for number, steps in ((1, "3"), (2, "4")):
        fill(page, "steps", steps, f'ol.stages > li[data-stage="{number - 1}"]')
    stage(page, 1).locator('[data-field="preview"] input').check()
    fill(page, "t_start", "0.5", 'ol.stages > li[data-stage="1"]')
    stage(page, 2).locator('[data-act="assist"]').click()
    page.get_by_role("dialog").locator('[data-tag="house"]').click()
    page.keyboard.press("Escape")
    page.locator(READY).wait_for()
    shown = request_of(page)["params"]
    assert shown["stages"] == [
        {"type": "generate", "steps": 3, "preview": True},
        {"type": "refine", "steps": 4, "t_start": 0.5, "caption": "house"},
    ]
    page.locator(READY).wait_for()
    stage(page, 2).locator("details:has(canvas) > summary").click()
    stage(page, 2).get_by_label("One step from noise to sound, at 0.50, 0.00").wait_for()  # the last of four at shift 3
    one.picture("pipeline")
    page.locator('[data-act="pipeline"]').click()
    one.until("[...studio.store.jobs.values()].some((job) => job.operation === 'render')")
    found = one.ended(one.job())
    assert [(file["role"], file["stage"], file["preview"]) for file in found["result"]["files"]] == [
        ("part", 1, True),
        ("part", 2, False),
    ]
    card = page.locator(f'main [data-result="{found["id"]}"]')
    card.get_by_role("button", name="Play preview of stage 1").wait_for()
    card.get_by_role("button", name="Play part 1").click()
    one.until("studio.player.playing")


def test_stages_are_moved_by_keys_and_by_mouse(tab):
    """By keys alone: add, move, remove, take back; then by mouse. Who works on whom stays, and where it cannot, that is told."""
    one = tab()
    page = one.open("#pipeline")
    press = page.keyboard.press
    page.get_by_label("Stage type").focus()
    page.keyboard.type("Cover")
    press("Tab")
    press("Enter")
    stage(page, 2).wait_for()
    page.locator('[data-act="add-stage"]').focus()
    press("Enter")
    stage(page, 3).wait_for()
    stage(page, 3).get_by_label("Works on").select_option(label="stage 1 (Generate)")
    fill(page, "strength", "0.3", 'ol.stages > li[data-stage="2"]')
    stage(page, 3).locator('[data-act="grip"]').focus()
    press("ArrowUp")
    one.until(
        "document.activeElement.dataset.act === 'grip' && document.activeElement.closest('li').dataset.stage === '1'"
    )
    made = request_of(page)["params"]["stages"]
    assert made[1:] == [{"type": "cover", "strength": 0.3}, {"type": "cover", "source": {"stage": 1}}]
    stage(page, 1).locator('[data-act="grip"]').focus()
    press("End")
    stands(page, "Cover", "Cover", "Generate")
    page.locator(".toast").filter(has_text="Stage 1 now works on the source.").wait_for()
    state(page, "Stage 1: It needs a source, and none is chosen.")
    press("Home")
    stands(page, "Generate", "Cover", "Cover")
    stage(page, 3).locator('[data-act="remove"]').focus()
    press("Enter")
    stage(page, 3).wait_for(state="detached")
    page.locator(".toast").filter(has_text="Stage 3 was removed").get_by_role("button", name="Undo").click()
    stage(page, 3).wait_for()
    drag(page, 1, 3)
    stands(page, "Cover", "Cover", "Generate")
    stage(page, 3).locator('[data-act="up"]').click()
    stands(page, "Cover", "Generate", "Cover")


def test_presets_import_and_export(tab, house):
    """A built-in one, taken back; one's own, seen by another client and deleted; a file that comes back as it went."""
    one = tab()
    page = one.open("#pipeline")
    page.get_by_label("Presets").select_option(label="Three-Stage Quality")
    one.until("document.querySelectorAll('ol.stages > li').length === 3")
    state(page, "Stage 1: The model “base” is no longer on this machine.")
    model = stage(page, 1).locator('[data-field="model"] select')
    expect(model).to_have_value("base")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    one.until("document.querySelectorAll('ol.stages > li').length === 1")
    add(page, "refine")
    fill(page, "t_start", "0.35", 'ol.stages > li[data-stage="1"]')
    page.locator('[data-act="save-preset"]').click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("Not A Name")
    dialog.get_by_role("button", name="Save").click()
    dialog.locator(".wrong").filter(has_text="lower case").wait_for()
    dialog.get_by_role("textbox").fill("rough-then-clean")
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="detached")
    with house.client() as client:
        kept = client.call("preset.show", {"name": "rough-then-clean"})
    assert kept["stages"] == [{"type": "generate"}, {"type": "refine", "t_start": 0.35}]
    with page.expect_download() as taken:
        page.locator('[data-act="export"]').click()
    file = json.loads(taken.value.path().read_text("utf-8"))
    assert (file["format"], file["stages"]) == ("acestep-bridge/preset", kept["stages"])
    page.get_by_role("button", name="Clear", exact=True).click()
    state(page, "Add a stage first.")
    load(page, file)
    one.until("document.querySelectorAll('ol.stages > li').length === 2")
    assert request_of(page)["params"]["stages"] == kept["stages"]
    page.get_by_label("Presets").select_option("rough-then-clean")
    page.get_by_role("button", name="Delete the preset").click()
    page.locator(".toast").filter(has_text="rough-then-clean was deleted").wait_for()
    with house.client() as client:
        assert "rough-then-clean" not in [row["name"] for row in client.call("preset.list", {})]


def test_what_is_no_pipeline_is_refused_and_changes_nothing(tab):
    """Each kind of wrong file has its sentence; names that nobody knows are the daemon's to refuse, at their stage."""
    one = tab()
    page = one.open("#pipeline")
    error = page.locator("main .error").first
    for data, words in (
        ("RIFF....WAVE", "This file is not JSON."),
        ({"caption": "x"}, "contains no pipeline"),
        ({"stages": [{"steps": 3}]}, "Stage 1 of this file has no type."),
        ({"stages": [{"type": "generate"}, {"type": "refine", "source": {"stage": 2}}]}, "does not come before it"),
        ({"stages": [{"type": "generate"}] * 17}, "at most 16 stages"),
    ):
        load(page, data)
        error.filter(has_text=words).wait_for()
        stands(page, "Generate")
    load(page, {"stages": [{"type": "generate"}, {"type": "glitter"}]})
    state(page, "Stage 2: There is no stage type “glitter”")
    load(page, {"stages": [{"type": "generate", "sparkle": 3}]})
    state(page, "Stage 1: ")
    stage(page, 1).locator(".error").filter(has_text="sparkle").wait_for()
    load(page, {"stages": [{"type": "generate", "model": "deleted-since"}]})
    state(page, "Stage 1: The model “deleted-since” is no longer on this machine. Choose another one.")
    load(page, {"stages": [{"type": "generate", "steps": 3, "checkpoint_step": 9}]})
    stage(page, 1).locator('[data-field="checkpoint_step"] .wrong').filter(has_text="9").wait_for()
    page.locator('[data-act="pipeline"]').click()
    error.filter(has_text="Stage 1: ").wait_for()
    becomes(page, "document.activeElement.closest('.field').dataset.field", "checkpoint_step")


def test_a_source_that_went_away_is_told_at_its_stage(tab, house, song):
    """A take as source works; deleted behind the page's back, the stage that needs it says so and nothing is handed in."""
    from pathlib import Path

    made = house.run("generate", caption="goes away", duration=10.0, steps=1)
    path = made["result"]["files"][0]["path"]
    one = tab()
    page = one.open("#pipeline")
    load(page, {"stages": [{"type": "refine", "steps": 2}], "source": {"path": path}})
    page.locator(READY).wait_for()
    latents = stage(page, 1).locator(f'optgroup[label="Stored latents"] option[value*="{song["id"]}"]')
    latents.first.wait_for(state="attached")
    latent = json.loads(latents.first.get_attribute("value"))
    stage(page, 1).get_by_label("Works on").select_option(json.dumps(latent, separators=(",", ":")))
    page.locator(READY).wait_for()
    assert request_of(page)["params"]["stages"][0]["source"] == latent
    stage(page, 1).get_by_label("Works on").select_option(label="the source")
    page.locator(READY).wait_for()
    Path(path).unlink()
    jobs = page.evaluate("studio.store.jobs.size")
    page.locator('[data-act="pipeline"]').click()
    page.locator("main .error").first.filter(has_text="there is no file").wait_for()
    assert page.evaluate("studio.store.jobs.size") == jobs
    page.reload()
    page.wait_for_selector('.link[data-state="open"]')
    state(page, "there is no file")
