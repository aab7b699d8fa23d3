"""What is remembered of jobs that have ended, and of their results."""

import os

from bridge.core.interface import JobState


async def test_history_is_searched_and_paged(desk):
    """By words in caption, operation and id, by state, newest first, in pages."""
    one = await desk()
    await one.service.pause()
    for number in range(5):
        await one.submit("", f"j{number}", caption=f"warm rhodes {number}")
    await one.service.cancel("j0")
    assert [view.id for view in await one.service.jobs(search="rhodes 3")] == ["j3"]
    assert [view.id for view in await one.service.jobs(states=frozenset({JobState.CANCELLED}))] == ["j0"]
    first = await one.service.jobs(limit=2)
    second = await one.service.jobs(limit=2, before=first[-1].id)
    assert [view.id for view in (*first, *second)] == ["j4", "j3", "j2", "j1"]


async def test_history_forgets_the_oldest(desk):
    """Beyond the bound, ended jobs only; their files stay until the library is trimmed."""
    one = await desk(history_jobs=2)
    for number in range(4):
        await one.run("", f"j{number}")
    await one.service.pause()
    await one.submit("", "waiting")
    await one.service.housekeeping.tidy()
    assert [view.id for view in await one.service.jobs()] == ["waiting", "j3", "j2"]
    assert len(list(one.service.paths.library.iterdir())) == 4


async def test_the_library_is_trimmed_by_size(desk):
    """With a bound the newest results stay, and what a waiting job reads."""
    one = await desk(library_bytes=20_000)
    library = one.service.paths.library
    for number in range(4):
        await one.run("", f"j{number}", length=1600)
        os.utime(library / f"j{number}", (1000 + number, 1000 + number))
    await one.service.pause()
    source = next((library / "j0").glob("*.wav"))
    await one.submit("", "waiting", operation="cover", caption="fake:", source=str(source))
    assert await one.service.housekeeping.trim() == ["j2", "j1"]
    assert {path.name for path in library.iterdir()} == {"j0", "j3"}


async def test_the_newest_results_are_found_by_their_kind(desk):
    """Counted back from the newest; jobs that failed or made no such file do not count."""
    one = await desk()
    for name in ("first", "second"):
        await one.run("", name)
    await one.run("fail_at=1 fail=numeric_failure", "bad")
    wav = frozenset({".wav"})
    assert [one.service.newest(wav, back).id for back in (0, 1)] == ["second", "first"]
    assert one.service.newest(wav, 2) is None and one.service.newest(frozenset({".safetensors"})) is None
