"""The page for everybody: axe, three languages, a phone, Firefox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.doors.http.page import STATIC
from tests.bridge.doors.page.waiting import becomes, expect

pytestmark = pytest.mark.foreign

RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
"""What axe looks for, by the look of the page: all there is, and once more what colours decide."""

VIEWS = ("create", "edit", "pipeline", "library", "models", "training", "system")


SMALL = """() => [...document.querySelectorAll('button, select, a.button, input')]
    .filter((one) => one.checkVisibility() && !one.closest('.unseen, .skip'))
    .filter((one) => { const box = one.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
    .map((one) => one.outerHTML.slice(0, 90))"""
"""Controls that a finger does not hit (2.5.8)."""

BARE = """() => [...document.querySelectorAll('main [data-field]')].filter((row) => {
    const one = row.querySelector('[aria-describedby]');
    return !one || !document.getElementById(one.getAttribute('aria-describedby').split(' ')[0]).textContent.trim();
}).map((row) => row.dataset.field)"""
"""Fields without a tooltip."""


def axe():
    """The source of axe-core, as its Python package brings it."""
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")


def violations(page, look):
    """What axe finds, as rule and elements."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe())  # over the protocol, so that the page's policy stays as it is
    page.wait_for_timeout(300)
    found = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES[look])
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]


@pytest.mark.parametrize("look", [pytest.param("dark", marks=pytest.mark.long), "light"])
def test_axe_finds_nothing(tab, song, look):
    """Every view, a source with a region, both modes, an open menu and a dialog, in both looks."""
    one = tab(color_scheme=look)
    page = one.open("#create")
    assert violations(page, look) == []
    page.get_by_role("radio", name="Custom").click()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(page, look) == []
    one.picture(f"create-{look}")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    page.locator('[data-act="assist"]').click()
    assert violations(page, look) == []
    page.keyboard.press("Escape")
    one.open(f"#edit/{song['id']}/0")
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    page.locator('[data-act="add-region"]').click()
    assert violations(page, look) == []
    one.open("#library")
    page.locator(f'main [data-result="{song["id"]}"]').get_by_role("button", name="More for part 1").click()
    assert violations(page, look) == []
    page.keyboard.press("Escape")
    one.picture(f"library-{look}")
    one.open("#pipeline")
    page.locator('[data-part="state"][data-ready="true"]').wait_for()
    page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
    assert violations(page, look) == []
    one.open("#system")
    page.locator(".log p").first.wait_for()
    assert violations(page, look) == []


@pytest.fixture(scope="module")
def lesson(house, song):
    """A dataset of one take, and a training whose figures were written here: axe looks at the plot, not at what was learned."""
    folder = Path(song["result"]["files"][0]["path"]).parent
    house.run("dataset-scan", folders=[str(folder)], dataset="one lesson")
    log = house.home / "loras" / "recorded" / "training.log"
    log.parent.mkdir(parents=True)
    events = [{"event": "begins", "steps": 4, "model": "nano", "songs": 2, "settings": {"epochs": 2}}]
    events += [{"event": "step", "step": step, "loss": 1 / step} for step in (1, 2, 3, 4)]
    events += [{"event": "epoch", "epoch": n, "step": 2 * n, "loss": 0.75 / n, "validation": 0.9} for n in (1, 2)]
    log.write_text("".join(json.dumps(one) + "\n" for one in [*events, {"event": "ends"}]), "utf-8")
    yield
    house.run("dataset-edit", dataset="one lesson", delete=True)
    log.unlink()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("look", ["dark", "light"])
def test_axe_finds_nothing_in_models_and_training(tab, lesson, look):
    """With a licence to be read, a table of labels, open forms, a plot and its numbers."""
    one = tab(color_scheme=look)
    page = one.page
    one.open("#models")
    page.locator('#models-absent [data-model="musicgen-small"] [data-act="get"]').click()
    assert violations(page, look) == []
    page.keyboard.press("Escape")
    assert violations(page, look) == []
    one.open("#training")
    page.get_by_label("Dataset", exact=True).select_option("one lesson")
    page.locator("tr[data-sample]").first.wait_for()
    page.get_by_role("button", name="Losses of recorded").click()
    page.locator('[data-part="training"]').wait_for()
    page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
    assert violations(page, look) == []
    one.picture(f"training-{look}")
    page.locator('[data-act="scan"]').click()
    assert violations(page, look) == []
    page.keyboard.press("Escape")


@pytest.mark.parametrize(("code", "locale"), [("zh", "zh-CN"), ("ja", "ja-JP")])
def test_the_page_speaks_the_readers_language(tab, code, locale):
    """By the browser's languages; every view; the choice of another one stays."""
    words = json.loads((STATIC / "words" / f"{code}.json").read_text("utf-8"))
    one = tab(locale=locale)
    page = one.open()
    becomes(page, "document.documentElement.lang", code)
    for view in VIEWS:
        page.evaluate("view => { location.hash = view; }", view)
        page.get_by_role("heading", name=words[f"{view}.title"], exact=True).wait_for()
        expect(page.get_by_role("tab", name=words[f"tab.{view}"], exact=True)).to_have_attribute(
            "aria-selected", "true"
        )
    one.picture(f"language-{code}")
    page.get_by_label(words["language"]).select_option("en")
    one.until("document.documentElement?.lang === 'en'")  # choosing loads the page again
    page.reload()
    page.get_by_role("tab", name="Library").wait_for()


def test_on_a_phone_everything_is_in_reach(tab, song):
    """No view is wider than the screen; a region can be made and a take played."""
    one = tab(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = one.open("#create")
    places = ["create", "pipeline", "library", "models", "training", "system", f"edit/{song['id']}/0"]
    for place in places:
        page.evaluate("place => { location.hash = place; }", place)
        page.wait_for_timeout(500)
        becomes(page, "document.documentElement.scrollWidth <= innerWidth", True)
        becomes(page, SMALL, [])
    one.until("document.querySelector('wave-view')?.peaks?.whole")
    page.locator('[data-act="add-region"]').tap()
    becomes(page, "document.querySelector('wave-view').regions.length", 1)
    one.picture("phone")


def test_every_field_has_its_tooltip_from_describe(tab):
    """The daemon's summary, bound to the control."""
    one = tab()
    page = one.open("#create")
    page.get_by_role("radio", name="Custom").click()
    page.locator("main .field:visible").first.wait_for()
    becomes(page, BARE, [])
    row = page.locator('[data-field="steps"]').first
    row.locator("input").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(row.locator(".help")).to_contain_text("Denoising steps")
