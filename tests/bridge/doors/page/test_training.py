"""The view of trainings in Chromium, before a real daemon: songs of a second or two, and a real training of the nano model."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from tests.bridge.doors.page.waiting import becomes, expect

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]

RATE = 24_000
SMALL = {"rank": "2", "alpha": "4", "accumulation": "1", "learning_rate": "0.01", "save_every": "1", "epochs": "400"}


@pytest.fixture(scope="module")
def songs(house):
    """A folder of three tones, one of them with a caption beside it."""
    folder = house.home.parent / "tones, mine"
    folder.mkdir()
    for index, seconds in enumerate((1.2, 2.0, 1.6)):
        time = np.arange(int(seconds * RATE)) / RATE
        soundfile.write(folder / f"tone {index}.wav", 0.3 * np.sin(4000 * (index + 1) * time), RATE)
    (folder / "tone 1.caption.txt").write_text("a bright tone")
    (folder / "broken.wav").write_bytes(b"RIFFnothing of the kind")
    return folder


@pytest.fixture(scope="module")
def dataset(house, songs):
    """The songs, labelled and prepared by another client."""
    house.run("dataset-scan", folders=[str(songs)], dataset="lessons", validation=0.3, custom_tag="zap")
    house.run("dataset-label", dataset="lessons", skip=True)
    house.run("dataset-prepare", dataset="lessons")
    return "lessons"


def samples(house, dataset):
    """The samples of a dataset by file name, as the daemon has them."""
    found = house.run("dataset-list", dataset=dataset)["result"]["data"]["samples"]
    return {one["filename"]: one for one in found}


def fill(page, scope, name, value):
    """Type into a field of a form."""
    field = page.locator(f'{scope} [data-field="{name}"] :is(input[type=text], textarea)').first
    if not field.is_visible():
        page.locator(f'{scope} details.group:has([data-field="{name}"]) > summary').first.click()
    field.fill(value)
    field.blur()


def test_a_folder_becomes_a_table_whose_labels_are_edited_in_place(tab, house, songs):
    """A folder with a comma in its name, a broken file told; labels by keyboard, read by the daemon, kept over a reload."""
    one = tab()
    page = one.open("#training")
    page.locator('[data-act="scan"]').click()
    fill(page, "dialog", "folders", "/nowhere/songs")
    page.locator('dialog [data-act="run"]').click()
    page.locator('dialog [data-field="folders"] .wrong').filter(has_text="/nowhere/songs").wait_for()
    fill(page, "dialog", "folders", str(songs))
    fill(page, "dialog", "dataset", "mine")
    page.locator('dialog [data-act="run"]').click()
    page.locator(".toast.bad").filter(has_text="broken.wav was left out").wait_for()
    row = page.locator('tr[data-sample="tone 0.wav"]')
    row.wait_for()
    saved = page.locator('[data-part="saved"]')

    row.get_by_label("Description of tone 0.wav").fill("a low <b>tone</b>")
    page.keyboard.press("Tab")
    saved.filter(has_text="Saved: Description of tone 0.wav").wait_for()
    tempo = row.get_by_label("Tempo of tone 0.wav")
    tempo.fill("9999")
    page.keyboard.press("Tab")
    page.locator("main .error").filter(has_text="a tempo is 30 to 300 bpm").wait_for()
    expect(tempo).to_have_attribute("aria-invalid", "true")
    tempo.fill("96 bpm")
    page.keyboard.press("ArrowDown")
    becomes(page, "document.activeElement.ariaLabel", "Tempo of tone 1.wav")
    saved.filter(has_text="Saved: Tempo of tone 0.wav").wait_for()
    expect(tempo).to_have_value("96")
    row.get_by_label("Use of tone 0.wav").select_option("validation")
    saved.filter(has_text="Saved: Use of tone 0.wav").wait_for()
    found = samples(house, "mine")["tone 0.wav"]
    assert (found["caption"], found["bpm"], found["acestep_bridge"]["split"]) == ("a low <b>tone</b>", 96, "validation")

    page.reload()
    row.wait_for()
    expect(row.get_by_label("Description of tone 0.wav")).to_have_value("a low <b>tone</b>")
    row.get_by_role("button", name="Play tone 0.wav").click()
    one.until("Math.abs(studio.player.sound && document.querySelector('#player input').max - 1.2) < 0.1")
    page.get_by_role("button", name="Remove tone 2.wav from the dataset").click()
    page.locator('tr[data-sample="tone 2.wav"]').wait_for(state="detached")

    page.locator('[data-act="settings"]').click()
    fill(page, "dialog", "custom_tag", "velvet")
    page.locator('dialog [data-act="run"]').click()
    page.locator("main .num").filter(has_text="trigger “velvet”").wait_for()
    target = house.home / "library" / "songs.json"
    page.locator('[data-act="save-file"]').click()
    fill(page, "dialog", "file", str(target))
    page.locator('dialog [data-act="run"]').click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert '"custom_tag": "velvet"' in target.read_text("utf-8")
    target.unlink()
    page.locator('[data-act="forget"]').click()
    page.locator('dialog [data-act="yes"]').click()
    row.wait_for(state="detached")
    assert (songs / "tone 0.wav").is_file()


def test_labels_changed_in_another_tab_appear_here(tab, house, songs):
    """Two tabs, one dataset: what another client saves is shown."""
    house.run("dataset-scan", folders=[str(songs)], dataset="shared")
    one = tab()
    page = one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option("shared")
    cell = page.get_by_label("Genre of tone 1.wav")
    cell.wait_for()
    house.run("dataset-edit", dataset="shared", sample="tone 1.wav", changes={"genre": "drone"})
    one.until("[...document.querySelectorAll('[data-label=genre]')].some((one) => one.value === 'drone')")
    house.run("dataset-edit", dataset="shared", delete=True)
    cell.wait_for(state="detached")


def test_of_a_projects_region_its_part_is_heard(tab, house, songs):
    """A second and a half out of the middle, as a host sends it: the player shows that length, not the file's."""
    parts = [{"path": str(songs / "tone 1.wav"), "start": RATE // 4, "length": RATE + RATE // 2, "title": "chorus"}]
    house.run("dataset-scan", regions=parts, dataset="set")
    one = tab()
    page = one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option("set")
    page.locator('tr[data-sample="chorus"]').get_by_role("button", name="Play chorus").click()
    one.until("Math.abs(studio.player.sound && document.querySelector('#player input').max - 1.5) < 0.01")
    house.run("dataset-edit", dataset="set", delete=True)


def test_songs_are_labelled_and_prepared_from_the_page(tab, house, songs):
    """Through the forms of both steps: labels come into the table, settings reach the job, facts follow."""
    house.run("dataset-scan", folders=[str(songs)], dataset="steps")
    one = tab()
    page = one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option("steps")
    page.locator("main .num").filter(has_text="not prepared").wait_for()
    label, prepare = page.locator('[data-step="dataset-label"]'), page.locator('[data-step="dataset-prepare"]')
    label.locator("> summary").click()
    label.locator('[data-field="skip"] input').check()
    label.locator('[data-field="instrumental"] input').check()
    label.locator('[data-act="dataset-label"]').click()
    one.until("[...document.querySelectorAll('[data-label=caption]')].some((one) => one.value.startsWith('tone'))")
    job = page.evaluate("[...studio.store.jobs.values()].filter((one) => one.operation === 'dataset-label').pop().id")
    asked = one.ended(job)["request"]
    assert (asked["dataset"], asked["skip"], asked["instrumental"]) == ("steps", True, True)
    assert samples(house, "steps")["tone 0.wav"]["caption"] == "tone 0"

    prepare.locator("> summary").click()
    fill(page, '[data-step="dataset-prepare"]', "max_seconds", "0.5")
    prepare.locator('[data-act="dataset-prepare"]').click()
    prepare.locator('[data-field="max_seconds"] .wrong').filter(has_text="between 1 and").wait_for()
    fill(page, '[data-step="dataset-prepare"]', "max_seconds", "1,5")
    prepare.locator('[data-act="dataset-prepare"]').click()
    page.locator("main .num").filter(has_text="3 prepared for nano").wait_for()
    job = page.evaluate("[...studio.store.jobs.values()].filter((one) => one.operation === 'dataset-prepare').pop().id")
    found = one.ended(job)
    assert found["request"]["max_seconds"] == 1.5 and any("first 0:02" in note for note in found["result"]["notes"])
    house.run("dataset-edit", dataset="steps", delete=True)


def test_an_unprepared_dataset_is_refused_in_a_sentence(tab, house, songs):
    """At the door, before anything runs."""
    house.run("dataset-scan", folders=[str(songs)], dataset="raw")
    one = tab()
    page = one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option("raw")
    page.locator('[data-act="train"]').click()
    page.locator("main .error").filter(has_text="raw is not prepared yet").wait_for()
    house.run("dataset-edit", dataset="raw", delete=True)


def test_train_stop_resume_and_try_one(tab, house, dataset):
    """Losses of training and validation as they come; stopped and resumed where it was; a take with a checkpoint at a strength."""
    one = tab()
    page = one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option(dataset)
    page.locator("main .num").filter(has_text="3 prepared for nano").wait_for()
    for name, value in SMALL.items():
        fill(page, '[data-step="train"]', name, value)
    page.locator('[data-act="train"]').click()
    card = page.locator('#trainings [data-training="lessons"]')
    card.get_by_role("button", name="Losses of lessons").click()
    detail = page.locator('[data-part="training"]')
    one.until("document.querySelectorAll('[data-part=training] tbody tr').length >= 2")
    expect(card.get_by_text("running")).to_have_count(1)
    card.get_by_role("button", name="Stop the training lessons").click()
    first = page.evaluate("[...studio.store.jobs.values()].filter((one) => one.operation === 'train').pop().id")
    one.ended(first, "cancelled")
    card.get_by_text("stopped; can be resumed").wait_for()
    before = house.run("trainings", name=dataset)["result"]["data"]
    assert before["epoch"] >= 2 and all("validation" in row for row in before["history"])

    card.get_by_role("button", name="Resume the training lessons").click()
    one.until("rows => document.querySelectorAll('[data-part=training] tbody tr').length > rows", before["epoch"])
    card.get_by_role("button", name="Stop the training lessons").click()
    card.get_by_text("stopped; can be resumed").wait_for()
    after = house.run("trainings", name=dataset)["result"]["data"]
    assert after["step"] > before["step"] and after["history"][: before["epoch"]] == before["history"]

    expect(detail.locator("canvas")).to_have_attribute(
        "aria-label", re.compile("(?=.*validation).*best: epoch", re.DOTALL)
    )
    expect(detail.locator(".legend")).to_contain_text("validation (dashed)")
    detail.get_by_label("Checkpoint").select_option(f"{dataset}@1")
    detail.get_by_label("Description").fill("zap, a low tone")
    detail.get_by_label("Strength", exact=True).last.fill("9")
    detail.locator('[data-act="try"]').click()
    detail.locator(".wrong").filter(has_text="between -4 and 4").wait_for()
    detail.get_by_label("Strength", exact=True).last.fill("0,7")
    detail.get_by_label("Length (s)").fill("10")
    one.picture("training")
    detail.locator('[data-act="try"]').click()
    one.until("[...studio.store.jobs.values()].some((one) => one.caption === 'zap, a low tone')")
    made = one.ended(one.job())
    assert made["request"]["stages"][0]["lora"] == [f"{dataset}@1=0.7"]


def test_an_adapter_is_used_at_a_strength(tab, house, dataset):
    """Models: the adapter with its facts; it goes into Create at a strength, once, and out again."""
    one = tab()
    page = one.open("#models")
    card = page.locator(f'#adapters [data-adapter="{dataset}"]')
    card.wait_for()
    expect(card).to_contain_text("rank 2")
    card.get_by_label("Strength of lessons").last.fill("0.6")
    card.locator('[data-act="use"]').click()
    lora = page.locator('main [data-field="lora"] textarea')
    one.until("location.hash === '#create'")
    expect(lora).to_have_value("lessons=0.6")
    page.evaluate("location.hash = '#models'")
    card.get_by_text("in Create at 0.6").wait_for()
    card.get_by_role("button", name="Take out of Create").click()
    one.until("location.hash === '#create'")
    expect(lora).to_have_value("")


def test_only_the_keyboard(tab, house, songs):
    """A licence confirmed, a folder scanned, a label typed; without a mouse."""
    one = tab()
    page = one.open("#library")
    press = page.keyboard.press
    one.tab_to("one.id === 'tab-library'")
    press("ArrowRight")
    one.until("location.hash === '#models' && document.querySelector('[data-model=\"musicgen-small\"]')")
    one.tab_to("one.closest('[data-model=\"musicgen-small\"] [data-act=get]')", 400)
    press("Enter")
    press("Space")
    one.until("document.querySelector('dialog [data-act=start]').disabled === false")
    press("Escape")
    becomes(page, "document.activeElement.dataset.act", "get")
    page.locator("#tab-models").focus()
    press("ArrowRight")
    one.until("location.hash === '#training'")
    one.tab_to("one.dataset.act === 'scan'")
    press("Enter")
    one.tab_to("one.closest('dialog [data-field=folders]')")
    page.keyboard.type(str(songs))
    one.tab_to("one.closest('dialog [data-field=dataset]')")
    page.keyboard.type("by keys")
    one.tab_to("one.dataset.act === 'run'")
    press("Enter")
    page.locator('tr[data-sample="tone 0.wav"]').wait_for()
    one.tab_to("one.ariaLabel === 'Genre of tone 0.wav'")
    page.keyboard.type("drone")
    press("ArrowDown")
    page.locator('[data-part="saved"]').filter(has_text="Saved: Genre of tone 0.wav").wait_for()
    assert samples(house, "by keys")["tone 0.wav"]["genre"] == "drone"
    house.run("dataset-edit", dataset="by keys", delete=True)
