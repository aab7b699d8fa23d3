"""The page in Chromium, before a real daemon with the embedded model: what people do with it."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
import zipfile

import numpy as np
import pytest
import soundfile

from acestep.api.errors import ModelMissing
from tests.bridge.doors.page.waiting import becomes, expect

pytestmark = pytest.mark.foreign

QUICK = {"duration": "10", "steps": "2"}


def fill(page, name, value, scope="#view"):
    """Type into a field of a form."""
    field = page.locator(f'{scope} [data-field="{name}"] :is(input[type=text], textarea, select)').first
    if not field.is_visible():
        page.locator(f'{scope} details.group:has([data-field="{name}"]) > summary').first.click()
    if field.evaluate("one => one.tagName") == "SELECT":
        field.select_option(value)
    else:
        field.fill(value)
        field.blur()


def create(tab, caption, **fields):
    """Create in the custom form; the id of the job."""
    page = tab.page
    page.evaluate("location.hash = '#create'")
    page.get_by_role("radio", name="Custom").click()
    page.locator('[data-act="create"]').wait_for()
    for name, value in {"caption": caption, **QUICK, **fields}.items():
        fill(page, name, str(value))
    known = page.evaluate("studio.store.jobs.size")
    page.get_by_role("radio", name="1", exact=True).click()
    page.locator('[data-act="create"]').click()
    tab.until("size => studio.store.jobs.size > size", known)
    return tab.job()


def samples(path):
    """A sound file, whole numbers as they lie in it."""
    return soundfile.read(path, dtype="int32", always_2d=True)[0]


def test_create_by_every_field(tab):
    """A take comes, with the caption, length and tempo that were typed; progress and its end are said aloud."""
    one = tab()
    page = one.open()
    job = create(one, "dub techno, deep chords", bpm=122)
    found = one.ended(job)
    assert found["request"]["conditioning"]["caption"] == "dub techno, deep chords"
    assert (found["request"]["conditioning"]["bpm"], found["request"]["stages"][0]["steps"]) == (122, 2)
    page.locator(f'#newest [data-result="{job}"]').wait_for()
    one.until("document.getElementById('polite').textContent.includes('is ready')")


def test_one_sentence_becomes_a_plan_or_a_song(tab):
    """Without a language model too: the plan is shown with what was assumed, and the song is made in one step."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Simple").click()
    box = page.locator("section:not([hidden]) textarea").first
    box.fill("dark techno at 130 in F minor, ten seconds")
    known = page.evaluate("studio.store.jobs.size")
    page.get_by_role("radio", name="1", exact=True).click()
    page.locator('[data-act="create"]').click()
    one.until("size => studio.store.jobs.size > size", known)
    found = one.ended(one.job())
    assert (found["operation"], found["result"]["data"]["bpm"]) == ("song", 130)
    assert found["request"]["conditioning"]["query"].startswith("dark techno")
    page.get_by_role("button", name="Propose").first.click()
    shown = page.locator('[data-part="proposal"]')
    shown.wait_for()
    expect(shown.locator('[data-field="bpm"] input').first).to_have_value("130")
    expect(shown.locator('[data-part="assumed"]')).to_contain_text("not said, so chosen")


def test_a_wrong_value_is_told_at_its_field_and_nothing_is_handed_in(tab):
    """By the page itself, and by the daemon's own sentence."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    before = page.evaluate("studio.store.jobs.size")
    fill(page, "caption", "x")
    fill(page, "duration", "7000")
    page.locator('[data-act="create"]').click()
    row = page.locator('[data-field="duration"]').first
    expect(row.locator(".wrong")).to_have_text("It must be between 0 and 600.")
    becomes(page, "document.activeElement.closest('.field').dataset.field", "duration")
    fill(page, "duration", "10")
    fill(page, "reference", "/nowhere/voice.wav")
    page.locator('[data-act="create"]').click()
    wrong = page.locator('[data-field="reference"] .wrong')
    wrong.filter(has_text="voice.wav").wait_for()
    assert page.evaluate("studio.store.jobs.size") == before


def test_a_sentence_becomes_a_proposal_that_can_be_changed_before_anything_runs(tab):
    """Rules write it where no language model is; the sentence itself can be taken instead; the batch size stays."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="3", exact=True).click()
    page.get_by_label("What should it be?").fill("a quiet song about rain")
    page.get_by_role("button", name="Propose", exact=True).click()
    proposal = page.locator('[data-part="proposal"]')
    proposal.locator("textarea").first.wait_for()
    expect(proposal.locator("textarea").first).to_have_value(re.compile("^(?!a quiet song about rain$)."))
    page.get_by_role("button", name="Use my sentence unchanged").click()
    expect(proposal.locator("textarea").first).to_have_value("a quiet song about rain")
    jobs = page.evaluate("studio.store.jobs.size")
    fill(page, "caption", "a quiet song about snow", '[data-part="proposal"]')
    assert page.evaluate("studio.store.jobs.size") == jobs
    page.get_by_role("radio", name="Custom").click()
    expect(page.locator('[data-field="caption"] textarea:visible').first).to_have_value("a quiet song about snow")
    expect(page.get_by_role("radio", name="3", exact=True)).to_have_attribute("aria-checked", "true")
    page.reload()
    page.wait_for_selector('.link[data-state="open"]')
    texts = page.locator('main [data-field="caption"] textarea:visible')
    expect(texts.first).to_have_value("a quiet song about snow")


def test_a_random_example_and_the_words_fill_the_form(tab):
    """The example comes from the daemon; tags go into the caption and out again; contradictions are told while they last."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    caption = page.locator('[data-field="caption"] textarea:visible').first
    page.locator("main .panel:visible").get_by_role("button", name="Random example").click()
    one.until("[...document.querySelectorAll('[data-field=caption] textarea')].some((one) => one.value.length > 10)")
    caption.fill("calm piano")
    page.locator('[data-act="assist"]').click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("decides most")  # what a kind of tag does
    expect(dialog.get_by_text("[Chorus]", exact=True)).to_have_attribute("title", re.compile("returns"))
    dialog.locator('[data-tag="house"]').click()
    dialog.get_by_text("Mood", exact=True).click()
    dialog.locator('[data-tag="aggressive"]').click()
    dialog.locator(".warn").filter(has_text="“calm” and “aggressive”").wait_for()
    page.keyboard.press("Escape")
    expect(caption).to_have_value("calm piano, house, aggressive")
    becomes(page, "document.activeElement.dataset.act", "assist")
    fill(page, "caption", "calm piano at 90 bpm")
    fill(page, "bpm", "120")
    page.locator("main .warn").filter(has_text="says 90 bpm, the tempo field 120").wait_for()
    fill(page, "bpm", "90")
    expect(page.locator("main .warn").filter(has_text="90 bpm")).to_have_count(0)


def edit(tab, song, index=0):
    """Open a take of a job in Edit, its waveform there."""
    page = tab.open(f"#edit/{song['id']}/{index}")
    tab.until("document.querySelector('wave-view')?.peaks?.whole")
    return page


def test_mark_bars_five_to_eight_and_repaint(tab, song):
    """Marked by mouse on the bar grid; the new file is the source, bit by bit, everywhere else."""
    one = tab()
    page = edit(one, song)
    canvas = page.locator("wave-view canvas.main")
    box = canvas.bounding_box()
    width, middle = box["width"], box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + width * 0.51, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + width * 0.8, middle, steps=4)
    page.mouse.move(box["x"] + width * 0.985, middle, steps=4)
    page.mouse.up()
    becomes(page, "document.querySelector('wave-view').regions", [{"start": 384_000, "end": 768_000}])
    page.get_by_text("Becomes new: bars 5–8").wait_for()
    fill(page, "caption", "half-time drums")
    fill(page, "steps", "2")
    one.picture("edit")
    page.locator('[data-act="edit"]').click()
    one.until(
        "[...studio.store.jobs.values()].some((job) => job.operation === 'repaint' && job.id.startsWith('page-'))"
    )
    found = one.ended(one.job())
    source = samples(song["result"]["files"][0]["path"])
    made = samples(found["result"]["files"][0]["path"])
    assert made.shape == source.shape
    assert np.array_equal(made[:384_000], source[:384_000])
    assert not np.array_equal(made[384_000:], source[384_000:])


def test_several_regions_in_numbers(tab, song):
    """Bars and seconds are bound both ways; overlapping and empty regions have their sentence and are not handed in."""
    one = tab()
    page = edit(one, song)
    add = page.locator('[data-act="add-region"]')
    add.click()
    add.click()
    rows = page.locator(".region")
    first, second = rows.nth(0), rows.nth(1)

    def set_bars(row, start, end):
        for edge, text in (("end", end), ("start", start)):
            row.locator(f'input[data-edge="{edge}"][data-kind="bar"]').fill(text)
            row.locator(f'input[data-edge="{edge}"][data-kind="bar"]').blur()

    set_bars(first, "2", "3")
    set_bars(second, "2.3", "4")
    expect(first.locator('input[data-edge="start"][data-kind="time"]')).to_have_value("0:02.000")
    page.locator('[data-act="edit"]').click()
    page.locator("main .error").filter(has_text="overlap").wait_for()
    set_bars(second, "6", "6")
    page.locator('[data-act="edit"]').click()
    page.locator("main .error").filter(has_text="length 0").wait_for()
    set_bars(second, "6", "7.3")
    page.get_by_role("button", name="Show request").click()
    request = json.loads(page.locator("dialog pre").inner_text())
    assert request["params"]["regions"] == [{"start": 96_000, "end": 192_000}, {"start": 480_000, "end": 624_000}]
    assert request["params"]["crossfade_side"] == "inside" and request["params"]["bpm"] == 120
    page.keyboard.press("Escape")
    fill(page, "steps", "1")
    known = page.evaluate("[...studio.store.jobs.keys()]")
    page.locator('[data-act="edit"]').click()
    found = one.ended(one.until("known => [...studio.store.jobs.keys()].find((id) => !known.includes(id))", known))
    source, made = (samples(job["result"]["files"][0]["path"]) for job in (song, found))
    for start, end, kept in (
        (0, 96_000, True),
        (96_000, 192_000, False),
        (192_000, 480_000, True),
        (480_000, 624_000, False),
    ):
        assert np.array_equal(made[start:end], source[start:end]) is kept
    assert np.array_equal(made[624_000:], source[624_000:])


def test_an_own_sound_is_sent_and_edited(tab, sound_file):
    """An upload opens with its waveform; what is not a sound, empty or longer than can be worked on has its sentence."""
    one = tab()
    page = one.open("#edit")
    path = sound_file(frames=480_000, name="my song (1).wav")
    chooser = page.locator('input[type="file"]').first
    chooser.set_input_files({"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"RIFFnothing of the kind"})
    page.locator(".drop .error").filter(has_text="notes.wav").wait_for()
    chooser.set_input_files({"name": "none.wav", "mimeType": "audio/wav", "buffer": b""})
    page.locator(".drop .error").filter(has_text="none.wav is empty").wait_for()
    chooser.set_input_files(str(path))
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    becomes(page, "document.querySelector('wave-view').length", 480_000)
    expect(page.locator("main h3:visible").first).to_contain_text("my song (1).wav")
    one.until("location.hash.startsWith('#edit/upload/up-')")
    page.reload()
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    expect(page.locator("main h3:visible").first).to_contain_text("my song (1).wav")


def test_cancel_exactly_the_queued_one(tab, house):
    """The running one runs on, the other waiting one waits on; its place becomes the first."""
    one = tab()
    page = one.open()
    with house.client() as client:
        slow = {"caption": "slow", "duration": 30.0, "steps": 200}
        running = client.call("job.submit", {"operation": "generate", "params": slow})["id"]
        waiting = [
            client.call("job.submit", {"operation": "generate", "params": {**slow, "caption": f"waits {n}"}})["id"]
            for n in (1, 2)
        ]
        one.until("id => studio.store.jobs.get(id)?.state === 'running'", running)
        page.get_by_role("button", name="Cancel waits 1").click()
        one.ended(waiting[0], "cancelled")
        states = [client.call("job.status", {"id": job})["state"] for job in (running, waiting[1])]
        assert states == ["running", "queued"]
        page.locator(f'[data-job="{waiting[0]}"]').wait_for(state="detached")
        for job in (waiting[1], running):
            page.locator(f'#queue [data-job="{job}"] .cancel').click()
        for job in (waiting[1], running):
            one.ended(job, "cancelled")


def test_the_order_of_the_queue_can_be_changed(tab, house):
    """By keys; both the daemon and another tab know of it."""
    one = tab()
    page = one.open("#system")
    with house.client() as client:
        client.call("queue.pause", {})
        jobs = [
            client.call("job.submit", {"operation": "generate", "params": {"caption": f"turn {n}", "duration": 10.0}})[
                "id"
            ]
            for n in (1, 2, 3)
        ]
        one.until("id => studio.store.jobs.get(id)?.position === 3", jobs[2])
        third = page.locator(f'main [data-job="{jobs[2]}"]')
        third.get_by_role("button", name="Earlier").focus()
        page.keyboard.press("Enter")
        one.until("id => studio.store.jobs.get(id)?.position === 2", jobs[2])
        assert [client.call("job.status", {"id": job})["position"] for job in jobs] == [1, 3, 2]
        expect(third.get_by_role("button", name="Earlier")).to_be_focused()
        page.get_by_role("button", name="Cancel all waiting jobs").click()
        for job in jobs:
            one.ended(job, "cancelled")
        page.get_by_role("button", name="Resume the queue").click()
        page.get_by_role("button", name="Pause the queue").wait_for()


def test_a_job_cancelled_elsewhere_is_told(tab, house):
    """By another door; in two tabs at once."""
    tabs = [tab(), tab()]
    for one in tabs:
        one.open()
    with house.client() as client:
        client.call("queue.pause", {})
        job = client.call(
            "job.submit", {"operation": "generate", "params": {"caption": "gone soon", "duration": 10.0}}
        )["id"]
        for one in tabs:
            one.page.locator(f'#queue [data-job="{job}"]').filter(has_text="gone soon").wait_for()
        client.call("job.cancel", {"id": job})
        client.call("queue.resume", {})
    for one in tabs:
        one.page.locator(".toast").filter(has_text="gone soon was cancelled elsewhere").wait_for()
        one.until("id => !document.querySelector(`#queue [data-job='${id}']`)", job)


def test_two_takes_are_compared_at_the_same_place_equally_loud(tab, song):
    """B goes on where A was; the louder one is turned down."""
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{song["id"]}"]')
    card.get_by_role("button", name="Play part 1").click()
    one.until("studio.player.playing && studio.player.seconds > 0.3")
    card.get_by_role("button", name="Compare part 2").click()
    one.until("studio.player.sounds.b")
    page.keyboard.press("x")
    one.until("studio.player.side === 'b' && studio.player.playing")
    first, second = page.evaluate("[studio.player.seconds, document.querySelector('#player input').valueAsNumber]")
    assert first > 0.3 and abs(first - second) < 1.0
    one.until("Math.min(studio.player.volumes.a, studio.player.volumes.b) < 1")
    volumes = page.evaluate("studio.player.volumes")
    loud = [np.sqrt(np.mean(np.square(soundfile.read(file["path"])[0]))) for file in song["result"]["files"][:2]]
    assert volumes["a"] * loud[0] == pytest.approx(volumes["b"] * loud[1], rel=0.08)
    page.keyboard.press("l")
    becomes(page, "studio.player.loop", True)
    page.evaluate("document.activeElement.blur()")  # Space on a button presses the button
    page.keyboard.press("Space")
    one.until("!studio.player.playing")


def test_without_a_sound_device_everything_else_goes_on(tab, song):
    """One sentence. (The browser's own refusal is played by the test: this machine has no device to take away.)"""
    one = tab()
    one.page.add_init_script(
        "HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException('', 'NotSupportedError'))"
    )
    page = one.open("#library")
    page.locator(f'main [data-result="{song["id"]}"]').get_by_role("button", name="Play part 1").click()
    page.locator(".toast").filter(has_text="There is no sound output").wait_for()


def test_stars_notes_search_and_settings(tab, song, house):
    """What is noted is the daemon's: another client sees it, and so does the page after a reload."""
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{song["id"]}"]')
    card.get_by_role("button", name="Star").click()
    card.get_by_role("button", name="More for this result").click()
    page.get_by_role("menuitem", name="Note").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("the <b>good</b> one")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    card.get_by_text("the <b>good</b> one").wait_for()
    with house.client() as client:
        (row,) = [row for row in client.call("history.list", {"search": "good"})["rows"] if row["id"] == song["id"]]
    assert (row["star"], row["note"]) == (True, "the <b>good</b> one")
    page.reload()
    page.get_by_label("Search").fill("nothing like this")
    page.get_by_text("Nothing matches.").wait_for()
    page.get_by_label("Search").fill("rhodes")
    page.get_by_role("button", name="With a star").click()
    card.wait_for()
    card.get_by_role("button", name="More for part 1").click()
    page.get_by_role("menuitem", name="Use its settings").click()
    one.until("location.hash === '#create'")
    expect(page.locator('[data-field="caption"] textarea:visible').first).to_have_value("warm lofi house, rhodes")
    expect(page.locator('[data-field="bpm"] input:visible').first).to_have_value("120")


def test_results_are_deleted_and_taken_back(tab, house):
    """By the keyboard too; the files stay until they cannot be taken back any more."""
    made = house.run("generate", caption="to be deleted", duration=10.0, steps=1)
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{made["id"]}"]')
    card.get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    card.wait_for()
    with house.client() as client:
        assert client.call("job.result", {"id": made["id"]})["state"] == "done"


def test_sounds_are_taken_along(tab, song):
    """In another format, and several with their recipes in one file."""
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{song["id"]}"]')
    card.get_by_role("button", name="More for part 1").click()
    with page.expect_download() as taken:
        page.get_by_role("menuitem", name="Download FLAC").click()
    assert np.array_equal(samples(taken.value.path()), samples(song["result"]["files"][0]["path"]))
    card.get_by_role("checkbox").check()
    with page.expect_download() as taken:
        page.get_by_role("group", name="Selected results").get_by_role("link", name="ZIP with recipes").click()
    with zipfile.ZipFile(taken.value.path()) as archive:
        assert archive.testzip() is None
        names = sorted(archive.namelist())
        assert [name for name in names if name.endswith("recipe.json")] == [f"{song['id']}/recipe.json"]
        sound = archive.read(next(name for name in names if name.endswith(".wav")))
    assert soundfile.info(io.BytesIO(sound)).frames == 768_000


def test_a_take_is_sent_to_a_daw(tab, song, house):
    """It waits, also through a reload, until a script takes it as the hosts' own scripts do: by renaming the file."""
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{song["id"]}"]')

    def send(host):
        card.get_by_role("button", name="More for part 2").click()
        page.get_by_role("menuitem", name=f"Send to {host}").click()

    send("REAPER")
    waits = page.locator('[data-part="waiting"] li')
    waits.filter(has_text="is waiting for REAPER").wait_for()
    send("Ardour")
    waits.filter(has_text="is waiting for Ardour").get_by_role("button", name="Take back").click()
    waits.filter(has_text="is waiting for Ardour").wait_for(state="detached")
    page.reload()
    waits.filter(has_text="is waiting for REAPER").wait_for()
    spool = house.daemon.paths.home / "spool"
    taken = (spool / "handover-reaper.json").rename(spool / "handover-test.taken")
    page.locator(".toast").filter(has_text="REAPER has taken").wait_for()
    page.locator('[data-part="waiting"]').wait_for(state="hidden")
    (sent,) = json.loads(taken.read_text("utf-8"))["results"]
    taken.unlink()
    (file,) = sent["job"]["result"]["files"]
    assert (file["path"], file["start"]) == (song["result"]["files"][1]["path"], 0)


def test_a_stored_latent_is_gone_on_from(tab, song):
    """Resume: a latent of the list becomes the source of a further job."""
    one = tab()
    page = one.open("#library")
    page.locator("details.panel > summary").click()
    row = page.locator("details.panel tr").filter(has_text=song["id"]).first
    row.get_by_role("button", name=re.compile("^Continue from")).click()
    one.until("[...studio.store.jobs.values()].some((job) => job.operation === 'refine')")
    found = one.ended(one.job())
    assert found["request"]["source"]["latent"].startswith(song["id"])


def test_a_plug_ins_operation_has_its_form(tab, song):
    """Made from `describe`: a stage that nobody here knows, run from the page."""
    one = tab()
    page = edit(one, song)
    page.get_by_label("More operations").select_option("wash")
    expect(page.locator('[data-field="depth"] input[type="range"]')).to_be_visible()
    page.locator('[data-act="add-region"]').click()
    fill(page, "depth", "0.3")
    fill(page, "steps", "2")
    page.locator('[data-act="edit"]').click()
    one.until("[...studio.store.jobs.values()].some((job) => job.operation === 'wash')")
    found = one.ended(one.job())
    assert found["request"]["stages"][0]["depth"] == 0.3


@pytest.fixture
def hum(house):
    """A model of the plug-in's own family, for as long as the test runs."""
    folder = house.home / "checkpoints" / "hum"
    folder.mkdir(parents=True)
    (folder / "sines.json").write_text('{"pitch": 220}')
    with house.client() as client:

        def seen():
            try:
                client.call("describe", {"operation": "generate", "model": "hum"})
            except ModelMissing:
                return False
            return True

        for here in (True, False):
            while seen() is not here:
                time.sleep(0.2)
            if here:
                yield "hum"
                shutil.rmtree(folder)


def test_the_forms_are_those_of_the_chosen_model(tab, song, hum):
    """Its own ranges, defaults and operations, in Create and in Edit; what was typed stays where the model takes it."""
    one = tab()
    page = one.open()
    page.evaluate("location.hash = '#create'")
    page.get_by_role("radio", name="Custom").click()
    fill(page, "caption", "a low hum")
    page.locator('#view [data-field="lyrics"]').first.wait_for()
    fill(page, "model", hum)
    one.until("!document.querySelector('#view [data-field=lyrics]')")
    row = page.locator('#view [data-field="duration"]').first
    expect(row.locator(".help")).to_have_text(re.compile(r"(?=.*\b0\.1\b).*\b60\b", re.DOTALL))
    expect(page.locator('#view [data-field="steps"] input').first).to_have_attribute("placeholder", "2")
    expect(page.locator('[data-field="caption"] textarea:visible').first).to_have_value("a low hum")
    job = create(one, "a low hum", model=hum, duration=2)
    assert one.ended(job)["request"]["stages"][0]["model"] == hum
    fill(page, "model", "")
    page.locator('#view [data-field="lyrics"]').first.wait_for()
    page = edit(one, song)
    page.get_by_role("radio", name="Cover", exact=True).wait_for()
    fill(page, "model", hum)
    page.get_by_role("radio", name="Cover", exact=True).wait_for(state="detached")
    one.until("document.querySelector('#view').textContent.includes('The model hum does not support: ')")
    page.get_by_role("radio", name="Repaint", exact=True).wait_for()
    fill(page, "model", "")


def test_a_source_that_vanished_has_its_sentence(tab, house):
    """When it is opened, and when it goes while it is open."""
    made = house.run("generate", caption="vanishing", duration=10.0, steps=1)
    one = tab()
    page = edit(one, made)
    from pathlib import Path

    Path(made["result"]["files"][0]["path"]).unlink()
    page.locator('[data-act="add-region"]').click()
    page.locator('[data-act="edit"]').click()
    page.locator("main .error").filter(has_text="The source was removed or changed").wait_for()
    one.open("#edit/job-of-nobody/0")
    page.locator(".drop .error").filter(has_text="no longer exists").wait_for()


def test_a_reload_in_the_middle_loses_nothing(tab, house):
    """A job runs on and is shown again; an upload that was broken off is told."""
    one = tab()
    page = one.open("#create")
    job = create(one, "runs through the reload", steps=60, duration=20)
    page.evaluate("sessionStorage.setItem('studio.uploading', 'long.wav')")
    page.reload()
    page.wait_for_selector('.link[data-state="open"]')
    one.until("id => studio.store.jobs.has(id)", job)
    page.evaluate("location.hash = '#edit'")
    page.locator(".drop .error").filter(has_text="The reload interrupted the upload of long.wav").wait_for()
    page.evaluate("id => studio.cancel(id)", job)
    one.ended(job, "cancelled")


def test_only_the_keyboard(tab, song):
    """Create and cancel; then a region of four bars and a repaint, without a mouse."""
    one = tab()
    page = one.open("#create")
    press = page.keyboard.press

    def tab_to(condition, most=140):
        for _ in range(most):
            press("Tab")
            if page.evaluate(f"(() => {{ const one = document.activeElement; return Boolean({condition}); }})()"):
                return
        raise AssertionError(condition)

    tab_to("one.id === 'tab-create'")
    tab_to("one.getAttribute('role') === 'radio' && one.textContent === 'Simple'")
    press("ArrowRight")
    tab_to("one.closest('[data-field=caption]')")
    page.keyboard.type("typed without a mouse")
    tab_to("one.closest('[data-field=duration]')")
    page.keyboard.type("20")
    tab_to("one.closest('[data-field=steps]')")
    page.keyboard.type("80")
    press("Control+Enter")
    one.until("[...studio.store.jobs.values()].some((job) => job.caption === 'typed without a mouse')")
    job = one.job()
    page.locator(f'#queue [data-job="{job}"]').wait_for()
    tab_to(f"one.closest('#queue [data-job=\"{job}\"] .cancel')")
    press("Enter")
    one.ended(job, "cancelled")

    page.goto(f"{one.house.address}/studio#edit/{song['id']}/0")
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    tab_to("one.classList.contains('wave')")
    for _ in range(2):
        press("ArrowRight")
    press("[")
    for _ in range(4):
        press("ArrowRight")
    press("]")
    becomes(page, "document.querySelector('wave-view').regions", [{"start": 192_000, "end": 576_000}])
    tab_to("one.classList.contains('edge') && one.dataset.edge === 'end'")
    press("ArrowLeft")
    one.until("document.activeElement.getAttribute('aria-valuetext') === 'bar 6.1, 0:10.00'")
    tab_to("one.closest('[data-field=caption]')")
    page.keyboard.type("new here")
    tab_to("one.closest('[data-field=steps]')")
    page.keyboard.type("1")
    press("Control+Enter")
    one.until("[...studio.store.jobs.values()].some((job) => job.caption === 'new here')")
    found = one.ended(one.job())
    assert (found["request"]["source"]["start"], found["request"]["source"]["length"]) == (192_000, 288_000)


def test_the_doctor_and_the_log_are_shown(tab):
    """System: each device with its worker, what the worker computes with, who is connected, log lines, findings."""
    one = tab()
    page = one.open("#system")
    row = page.locator("tr[data-device]")
    row.first.wait_for()
    expect(row).to_have_count(1)
    expect(row.locator("td")).to_have_count(5)
    facts = page.locator(".panel dt")
    for fact in ("Number format", "Attention", "Default model", "Listeners"):
        expect(facts.get_by_text(fact, exact=True).locator("xpath=following-sibling::dd[1]")).to_have_text(
            re.compile(".")
        )
    page.locator(".log p").first.wait_for()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("Fine · ").first.wait_for()
    one.picture("system")


def test_zz_the_daemon_is_restarted_under_the_page(tab, house):
    """The page says that nobody answers, keeps what was typed, connects again and shows how every job stands."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    fill(page, "caption", "kept while the daemon is away")
    with house.client() as client:
        client.call("queue.pause", {})
        job = client.call(
            "job.submit",
            {"operation": "generate", "params": {"caption": "waits through it", "duration": 10.0, "steps": 1}},
        )["id"]
    page.locator(f'#queue [data-job="{job}"]').wait_for()
    beside = tab()
    chain = beside.open("#pipeline")
    ready, state = '[data-part="state"][data-ready="true"]', chain.locator('[data-part="state"]')
    chain.locator(ready).wait_for()
    house.daemon.stop()
    page.locator("#banner").filter(has_text="The daemon does not answer").wait_for()
    fill(chain, "caption", "put together while the daemon is away")
    state.filter(has_text="Not checked").wait_for()
    house.restart()
    page.wait_for_selector('.link[data-state="open"]')
    chain.locator(ready).wait_for()
    expect(chain.locator('[data-field="caption"] textarea:visible').first).to_have_value(re.compile("^put together"))
    page.locator(".toast").filter(has_text="Connected again").wait_for()
    expect(page.locator("#banner")).to_be_hidden()
    words = page.locator('[data-field="caption"] textarea:visible').first
    expect(words).to_have_value("kept while the daemon is away")
    one.ended(job)
    page.locator(f'#newest [data-result="{job}"]').wait_for()
