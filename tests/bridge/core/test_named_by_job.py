"""A job's id stands for its sound wherever a file is wanted."""

import pytest

from acestep.api.errors import NotFound


async def test_a_job_is_a_source(desk):
    """The whole of a part, and one file by its name; the canonical request holds the real path."""
    core = await desk()
    made = await core.run("steps=1", "take-1")
    file = made.result["files"][0]
    for name in ("take-1", f"take-1/{file['name']}"):
        accepted = await core.submit(operation="repaint", source=name, start=10, end=100, caption="fake: steps=1")
        await core.until(accepted.id)
        view = core.service.job(accepted.id)
        assert view.state == "done" and view.request["source"]["path"] == file["path"]


async def test_a_job_is_a_reference(desk):
    core = await desk()
    made = await core.run("steps=1", "voice")
    view = await core.run("steps=1", reference="voice")
    assert view.request["conditioning"]["reference"] == made.result["files"][0]["path"]


async def test_a_stage_of_a_chain_may_name_a_job(desk):
    core = await desk()
    made = await core.run("steps=1", "take-1")
    stages = [{"type": "repaint", "source": {"path": "take-1", "start": 10, "length": 100}}]
    accepted = await core.submit(operation="render", stages=stages, conditioning={"caption": "fake: steps=1"})
    await core.until(accepted.id)
    assert core.service.job(accepted.id).request["stages"][0]["source"]["path"] == made.result["files"][0]["path"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("take-2", "no finished job 'take-2'"),
        ("take-1/nothing.wav", "has no file 'nothing.wav'"),
        ("..", "no finished job"),
        ("take-1/..", "has no file '..'"),
        ("take-1/result.json", "has no file"),
    ],
)
async def test_what_is_no_sound_of_a_job_is_refused(desk, name, said):
    """One sentence about the field, nothing outside the library opened."""
    core = await desk()
    await core.run("steps=1", "take-1")
    with pytest.raises(NotFound, match=said) as caught:
        await core.submit(operation="repaint", source=name, start=10, end=100)
    assert caught.value.field == "source"


async def test_the_last_stage_is_meant(desk):
    """Of a chain that returned several parts, its name alone means the last one."""
    core = await desk()
    stages = [{"type": "generate"}, {"type": "generate"}]
    accepted = await core.submit(
        "", "both", operation="render", stages=stages, output={"length": 480}, conditioning={"caption": "fake: steps=1"}
    )
    await core.until(accepted.id)
    files = core.service.job("both").result["files"]
    assert [file["stage"] for file in files] == [1, 2]
    accepted = await core.submit(operation="cover", source="both", caption="fake: steps=1")
    assert core.service.job(accepted.id).request["source"]["path"] == files[1]["path"]
