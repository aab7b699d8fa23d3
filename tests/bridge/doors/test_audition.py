"""The audition page: results can be heard and taken, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from bridge.core.interface import Submission
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http import AUDITION, audition
from bridge.doors.http.app import build
from bridge.doors.http.guard import EntryTerms, Guard
from bridge.doors.http.site import Site

HOST = "127.0.0.1:9702"
PAGE = Path(audition.__file__).parent


@pytest.fixture
async def http(core):
    """A browser at the guarded door."""
    app = Guard(build(Site(Dispatcher(core))), EntryTerms(hosts=frozenset({HOST})))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{HOST}") as client:
        yield client


async def finished(core, **params) -> str:
    """The id of a job that has ended."""
    accepted = await core.submit(Submission(operation="sketch", params=params), "test")
    while not core.job(accepted.id).state.terminal:
        await core.wait(accepted.id, after=core.job(accepted.id).seq)
    return accepted.id


async def test_the_newest_results_are_listed_with_their_sounds(core, http):
    """Newest first, failed jobs left out, an address for each sound."""
    first = await finished(core, caption="one")
    await finished(core, fail="model_missing")
    second = await finished(core, caption="two")
    jobs = (await http.get("/audition/results")).json()["jobs"]
    assert [(job["id"], job["caption"], job["notes"]) for job in jobs] == [
        (second, "two", ["a sketch"]),
        (first, "one", ["a sketch"]),
    ]
    sound = jobs[0]["sounds"][0]
    assert sound.items() >= {"name": f"{second}.wav", "type": "audio/wav", "seconds": 1.0}.items()
    assert (await http.get(sound["address"])).content == second.encode() * 10_000


async def test_a_sound_can_be_read_from_its_middle(core, http):
    """Players seek."""
    job = await finished(core)
    answer = await http.get(f"/audition/sounds/{job}/0/x.wav", headers={"range": "bytes=10-19"})
    assert (answer.status_code, len(answer.content)) == (206, 10)


async def test_only_sounds_of_results_can_be_had(core, http, tmp_path):
    """No other number, job or path, no file that is no sound, and none that has gone."""
    job = await finished(core)
    missing = [f"/audition/sounds/{job}/1/x.wav", "/audition/sounds/nobody/0/x.wav", f"/audition/sounds/{job}/-1/x.wav"]
    missing += [
        f"/audition/sounds/{job}/{index}/x.wav" for index in ("9" * 5000, "0" * 5000, "%D9%A0", "0x0", "1e0", " 0")
    ]
    missing += [f"/audition/sounds/{job}/0/..%2F..%2Fsecret", "/audition/page.py", "/audition/../guard.py"]
    assert [(await http.get(address)).status_code for address in missing] == [404] * len(missing)
    view = core.job(job)
    notes = tmp_path / "notes.txt"
    notes.write_text("private")
    files = [{**view.result["files"][0], "path": str(notes)}]
    core._jobs[job] = msgspec.structs.replace(view, result={**view.result, "files": files})
    assert (await http.get(f"/audition/sounds/{job}/0/x.wav")).status_code == 404
    assert (await http.get("/audition/results")).json()["jobs"] == []
    core._jobs[job] = view
    Path(view.result["files"][0]["path"]).unlink()
    assert (await http.get(f"/audition/sounds/{job}/0/x.wav")).status_code == 404


@pytest.mark.parametrize("address", ["/audition", "/audition/results", "/audition/page.js"])
async def test_other_sites_and_other_names_are_refused_here_too(http, address):
    """The guard stands in front of every page."""
    assert (await http.get(address)).status_code == 200
    assert (await http.get(address, headers={"host": "evil.example"})).status_code == 421
    assert (await http.get(address, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await http.post(address)).status_code == 405


async def test_the_page_runs_only_its_own_scripts(http):
    """And may be embedded nowhere."""
    policy = (await http.get("/audition")).headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    page = (await http.get("/audition")).text
    assert "<script>" not in page and "onclick" not in page and "style=" not in page


async def test_a_browser_shows_the_token_as_a_password(core):
    """The answer without it makes the browser ask."""
    app = Guard(build(Site(Dispatcher(core))), EntryTerms(hosts=frozenset({HOST}), token="secret"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{HOST}") as client:
        refused = await client.get("/audition")
        assert (refused.status_code, refused.headers["www-authenticate"].split()[0]) == (401, "Basic")
        assert (await client.get("/audition", auth=("me", "secret"))).status_code == 200
        assert (await client.get("/audition", auth=("secret", ""))).status_code == 401


PROBE = """
const { clock, dragged, matchingGain } = await import(process.argv[1]);
const sine = (level) => Float32Array.from({ length: 4800 }, (_, n) => level * Math.sin(n / 10));
const click = new Float32Array(4800);
click[0] = 0.5;
console.log(JSON.stringify({
  gains: [[sine(0.5)], [sine(0.05), sine(0.05)], [click], [new Float32Array(9)]].map(matchingGain),
  clock: [clock(0), clock(59.6), clock(601)],
  dragged: dragged({ type: "audio/wav", name: "a b.wav", address: "/audition/sounds/j/0/a%20b.wav" }, "http://127.0.0.1:9702"),
}));
"""


@pytest.mark.foreign
def test_sounds_are_brought_to_one_loudness_without_clipping(foreign):
    """Ten times quieter gets ten times the gain, a lone peak is kept below full scale, silence is left alone."""
    command = [foreign("node"), "--input-type=module", "-e", PROBE, str(PAGE / "sounds.js")]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    loud, quiet, click, silence = said["gains"]
    assert quiet == pytest.approx(10 * loud, rel=1e-3)
    assert (click, silence) == (pytest.approx(0.98 / 0.5), 1)
    assert said["clock"] == ["0:00", "1:00", "10:01"]
    address = "http://127.0.0.1:9702/audition/sounds/j/0/a%20b.wav"
    assert said["dragged"] == {"DownloadURL": f"audio/wav:a b.wav:{address}", "text/uri-list": address}


def test_the_reference_names_every_page_of_the_door(core):
    """Each route of the application has its row."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "http.md").read_text()
    assets = {AUDITION + address for address in audition.ASSETS if address}
    paths = {route.path.split("{")[0].rstrip("/") for route in build(Site(Dispatcher(core))).routes} - assets
    assert [path for path in paths if f"`{path}" not in page] == []
