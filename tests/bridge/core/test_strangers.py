"""What a submission without rights may name: its own results, and nothing else of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.api.errors import AceError, IdConflict, NotAllowed, NotFound
from acestep.api.rights import Right
from bridge.core.access import Access
from bridge.core.interface import Submission

HOST = "osc:192.168.1.20"
ACCESS = Access(Right.ANYBODY, HOST)


async def submit(desk, operation="generate", *, id="", priority=0, **params):
    """As the machine 192.168.1.20 of the allow list."""
    given = {"caption": "fake:", "length": 480, "seed": 1, **params}
    submission = Submission(operation=operation, params=given, id=id, priority=priority)
    return await desk.service.submit(submission, f"{HOST}:9000", ACCESS)


@pytest.fixture
async def both(desk, sound_file):
    """A core with a job of the owner and one of the stranger, both done."""
    one = await desk()
    await one.run(job="owners")
    accepted = await submit(one, id="strangers")
    await one.until(accepted.id)
    return one


def wav(desk, job: str) -> Path:
    files = desk.service.job(job).result["files"]
    return next(Path(file["path"]) for file in files if file["path"].endswith(".wav"))


@pytest.mark.parametrize("field", ["source", "reference"])
async def test_files_of_this_machine_are_neither_read_nor_probed(both, sound_file, tmp_path, field):
    """The answer is the same for a file that is there, one that is not, another's result and a folder."""
    there = sound_file()
    names = [
        there,
        there.with_name("absent.wav"),
        tmp_path,
        wav(both, "owners"),
        Path("/etc/passwd"),
        Path("/nowhere/x"),
    ]
    said = set()
    for name in names:
        with pytest.raises(AceError) as caught:
            await submit(both, "repaint", start=0, end=480, **({"source": str(name)} if field == "source" else
                         {"source": str(wav(both, "strangers")), "reference": str(name)}))  # fmt: skip
        said.add((caught.value.code, caught.value.message, repr(caught.value.limits)))
    assert said == {("not_allowed", "from another machine you can use only results of your own jobs", "{}")}


async def test_its_own_result_may_be_edited(both):
    """By path, from the library."""
    accepted = await submit(both, "repaint", id="edit", source=str(wav(both, "strangers")), start=0, end=480)
    assert accepted.id == "edit"


async def test_another_ones_latent_is_as_if_there_were_none(both):
    """The same answer for one that exists and one that does not."""
    for latent in ("owners/take.safetensors", "nobody/take.safetensors"):
        with pytest.raises(NotFound) as caught:
            await submit(both, "repaint", source_latent=latent, start=0, end=480)
        assert caught.value.message == f"there is no stored latent {latent!r}"


async def test_it_writes_into_no_folder(both, tmp_path):
    """Copies go where the owner wants them only."""
    with pytest.raises(NotAllowed):
        await submit(both, folder=str(tmp_path))


async def test_it_does_not_jump_the_queue(both):
    """Priorities above 0 are the owner's; lower ones anybody's."""
    with pytest.raises(NotAllowed) as caught:
        await submit(both, priority=1)
    assert caught.value.field == "priority"
    assert (await submit(both, priority=-1)).id


async def test_the_owners_id_is_a_conflict(both):
    """Even where the request is the same: the answer would be about another's job."""
    with pytest.raises(IdConflict):
        await submit(both, id="owners", caption="fake: ", length=480, seed=1)


async def test_lists_and_newest_results_are_its_own(both):
    """What counts back from the newest result counts its own."""
    assert [job.id for job in await both.service.jobs(origin=HOST)] == ["strangers"]
    endings = frozenset({".wav"})
    assert both.service.newest(endings, 0, HOST).id == "strangers"
    assert both.service.newest(endings, 1, HOST) is None
    assert both.service.newest(endings, 0, "osc:192.168.1.2") is None
