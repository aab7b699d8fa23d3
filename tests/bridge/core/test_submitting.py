"""What is accepted, what is refused, and that a repeat is harmless."""

import asyncio
import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

from acestep.api.errors import (
    AceError,
    BadCheckpoint,
    BadRequest,
    IdConflict,
    NotAllowed,
    NotAudio,
    NotFound,
    UnknownJob,
    UnknownName,
)
from bridge.core import submissions
from bridge.core.interface import JobState, Submission


async def test_the_same_id_and_body_is_the_same_job(desk):
    """Ten retries at once and one after the end: one job, one result, the same answer."""
    one = await desk()
    answers = await asyncio.gather(*(one.submit("steps=2", "x") for _ in range(10)))
    await one.until("x")
    answers.append(await one.submit("steps=2", "x"))
    assert len({(answer.id, answer.seq, answer.position) for answer in answers}) == 1
    assert len(await one.service.jobs()) == 1 and len(list(one.service.paths.library.iterdir())) == 1


async def test_another_body_under_a_known_id_is_refused(desk):
    """`id_conflict`, while the first is being stored, while it waits and after its end."""
    one = await desk()
    answers = await asyncio.gather(one.submit("steps=2", "x"), one.submit("steps=3", "x"), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "IdConflict"]
    await one.until("x")
    with pytest.raises(IdConflict):
        await one.submit("steps=4", "x")


async def test_the_order_of_keys_makes_no_other_request(desk):
    """A retry whose encoder sorts differently is still a retry."""
    one = await desk()
    params = {"caption": "fake: steps=1", "length": 480, "seed": 1}
    for order in (list(params), list(reversed(params))):
        await one.service.submit(
            Submission(operation="generate", params={key: params[key] for key in order}, id="x"), "c"
        )
    assert len(await one.service.jobs()) == 1


async def test_a_refused_request_leaves_nothing(desk):
    """Rejected means: no job, no file, and the id is free."""
    one = await desk()
    with pytest.raises(BadRequest):
        await one.submit("", "x", bpm=-5.0)
    with pytest.raises(UnknownJob):
        one.service.job("x")
    assert (await one.run("steps=1", "x")).state is JobState.DONE


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a b", "\u00e9", "a\n"])
async def test_ids_are_checked(desk, name):
    """1 to 64 plain characters; the empty one is made here."""
    one = await desk(worker_start="lazy")
    await one.service.pause()
    if name:
        with pytest.raises(BadRequest) as caught:
            await one.submit("", name)
        assert caught.value.field == "id"
    else:
        assert (await one.submit("", name)).id


async def test_barrier_waits_for_the_submits_before_it(desk):
    """Afterwards every one of them is stored."""
    one = await desk()
    await one.service.pause()
    submits = [asyncio.create_task(one.submit("", f"j{number}")) for number in range(20)]
    await asyncio.sleep(0)
    await one.service.barrier()
    assert len(await one.service.jobs()) == 20
    await asyncio.gather(*submits)


async def test_a_folder_outside_the_write_roots_is_refused(desk, tmp_path):
    """At the door, with the field's name."""
    one = await desk(worker_start="lazy")
    with pytest.raises(NotAllowed) as caught:
        await one.submit("", folder=str(tmp_path / "elsewhere"))
    assert caught.value.field == "folder" and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("source", "error"),
    [("missing.wav", NotFound), ("text.wav", NotAudio), ("/etc/passwd", NotAllowed), ("../up.wav", NotAllowed)],
)
async def test_bad_sources_are_refused_at_the_door(desk, tmp_path, source, error):
    """Before anything is stored, with the field."""
    one = await desk(worker_start="lazy")
    (tmp_path / "text.wav").write_text("words")
    path = source if source.startswith("/") else f"{tmp_path}/{source}"
    with pytest.raises(error) as caught:
        await one.submit(operation="repaint", source=path, start=0, end=10)
    assert caught.value.field == "source" and await one.service.jobs() == []


@pytest.mark.parametrize("field", ["reference", "guide"])
async def test_every_path_of_a_request_goes_through_the_resolver(desk, field):
    """Not the source alone."""
    one = await desk(worker_start="lazy")
    with pytest.raises(NotAllowed) as caught:
        await one.submit("", **{field: "/etc/hosts.mid"})
    assert caught.value.field == field


async def test_an_upload_is_a_source_like_a_file(desk, tmp_path, sound_file):
    """Sent in chunks, named by id, probed by its header."""
    import hashlib

    one = await desk()
    data = sound_file(frames=4800).read_bytes()
    uploads = one.service.uploads
    upload = uploads.begin(len(data), hashlib.sha256(data).hexdigest()).id
    uploads.write(upload, 0, data)
    view = await one.run(
        operation="repaint", upload=upload, start=100, end=2000, caption="fake:", returns=["patch"], crossfade=0.0
    )
    assert view.state is JobState.DONE and view.result["files"][0]["length"] == 1900


async def test_a_request_without_bottom_is_refused(desk):
    """Thousands of levels, before anything recurses into them."""
    one = await desk(worker_start="lazy")
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(BadRequest, match="levels"):
        await one.service.submit(Submission(operation="generate", params={"seeds": deep}), "c")


async def test_a_stored_latent_that_is_not_there_is_refused(desk):
    """At the door; its id is not a path."""
    one = await desk(worker_start="lazy")
    for name in ("nothing/x.safetensors", "../../etc/passwd", "x"):
        with pytest.raises(NotFound) as caught:
            await one.submit(operation="repaint", source_latent=name, start=0, end=10)
        assert caught.value.field == "source_latent"


async def test_errors_of_the_door_are_one_family(desk):
    """Whatever comes in, what goes out is an `AceError` with a code."""
    one = await desk(worker_start="lazy")
    await one.service.pause()
    for params in ({"caption": 5}, {"nonsense": 1}, {"length": 0}, {"caption": "x" * 10_000}, {"seeds": [[]]}):
        with pytest.raises(AceError) as caught:
            await one.service.submit(Submission(operation="generate", params=params), "c")
        assert caught.value.code == "bad_request" and caught.value.field


@pytest.mark.parametrize(
    ("lora", "error"),
    [
        (["gravel"], UnknownName),
        (["../velvet"], UnknownName),
        (["velvet=loud"], BadRequest),
        (["velvet=99"], BadRequest),
        (["velvet", "velvet=0.5"], BadRequest),
        (["velvet", "cut"], BadCheckpoint),
        (["foreign"], BadCheckpoint),
    ],
)
async def test_bad_adapters_are_refused_at_the_door(desk, lora, error):
    """Unknown names with those there are, bad scales, files that are not adapters; nothing is stored. A good one is taken."""
    one = await desk()
    loras = one.service.paths.home / "loras"
    loras.mkdir()
    key = "layers.0.self_attn.q_proj"
    factors = {f"{key}.lora_A.weight": np.ones((2, 256), "f4"), f"{key}.lora_B.weight": np.ones((256, 2), "f4")}
    save_file(factors, loras / "velvet.safetensors")
    save_file({"unet.weight": np.ones((2, 2), "f4")}, loras / "foreign.safetensors")
    (loras / "cut.safetensors").write_bytes((loras / "velvet.safetensors").read_bytes()[:-4])
    with pytest.raises(error) as refused:
        await one.submit(lora=lora)
    assert refused.value.field == "lora"
    if error is UnknownName:
        assert refused.value.limits == {"choices": ["cut", "foreign", "velvet"]}
    assert await one.service.jobs() == []
    assert (await one.run(lora=["velvet=0.5"])).state is JobState.DONE


async def test_all_repeats_of_a_pending_submit_share_one_answer(desk, monkeypatch):
    """A refused request that comes thousands of times while it is checked is checked once, and every copy gets its answer."""
    one = await desk()
    gate, checks = threading.Event(), []
    check = submissions.admit

    def slow(*arguments):
        checks.append(1)
        gate.wait(30)
        return check(*arguments)

    monkeypatch.setattr(submissions, "admit", slow)
    copies = [asyncio.ensure_future(one.submit("", "bad", seeds=["no number"])) for _ in range(4000)]
    other = asyncio.ensure_future(one.submit("", "bad", seeds=[1]))
    await asyncio.sleep(0.1)
    gate.set()
    answers = await asyncio.gather(*copies, other, return_exceptions=True)
    assert len(checks) == 1
    assert {(answer.code, answer.field) for answer in answers[:-1]} == {("bad_request", answers[0].field)}
    assert answers[-1].code == "id_conflict"
    monkeypatch.setattr(submissions, "admit", check)
    assert (await one.submit("", "bad", seeds=[1])).id == "bad"
    assert not one.service._submissions._pending


async def test_the_events_of_ended_jobs_come_from_the_disk(desk):
    """Subscribing to many jobs at once gives each one's stored events, from the seq that was asked for on."""
    one = await desk()
    for number in range(20):
        await one.run(job=f"j{number}")
    jobs = frozenset(f"j{number}" for number in range(20))
    reader = one.service.subscribe("me", jobs | {"nobody"}, {"j3": 0})
    seen = {}
    async with asyncio.timeout(30):
        while sum(event[-1] == "done" for event in seen.values()) < 20:
            event = await anext(reader)
            seen.setdefault(event.job, []).append(event.kind.value)
    assert {job: kinds[0] for job, kinds in seen.items()} == {**dict.fromkeys(jobs, "accepted"), "j3": "result"}
    await reader.aclose()


async def test_a_request_can_be_looked_at_without_being_taken(desk):
    """The check is the door's own: the same refusals, the same notes, and no job afterwards."""
    core = await desk()
    chain = {"stages": [{"type": "generate", "steps": 2}, {"type": "refine", "source": {"stage": 2}}]}
    with pytest.raises(AceError) as refused:
        await core.service.check(Submission(operation="render", params=chain), "me")
    assert (refused.value.code, refused.value.field) == ("bad_preset", "stages[1].source.stage")
    with pytest.raises(AceError) as refused:
        await core.service.check(
            Submission(operation="render", params={"stages": [{"type": "generate", "model": "gone"}]}), "me"
        )
    assert (refused.value.code, refused.value.field) == ("model_missing", "stages[0].model")
    asked = {"caption": "x", "seeds": [1, 2], "length": 480}
    notes = (await core.service.check(Submission(operation="generate", params=asked), "me")).notes
    assert notes == ("2 seeds are given for one result: 2 are not used",)
    chain["stages"][1] = {"type": "refine", "t_start": 0.5, "steps": 4, "shift": 1.0}
    found = await core.service.check(Submission(operation="render", params=chain), "me")
    assert [(stage.type, stage.times[0], stage.times[-1]) for stage in found.stages] == [
        ("generate", 1.0, 0.0),
        ("refine", 0.5, 0.0),
    ]
    assert [stage.steps for stage in found.stages] == [2, 2]
    assert await core.service.jobs() == []
    accepted = await core.service.submit(Submission(operation="generate", params=asked), "me")
    assert accepted.notes == notes
