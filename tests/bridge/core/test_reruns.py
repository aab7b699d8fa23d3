"""A job once more."""

from bridge.core.interface import JobState, JobView
from bridge.core.reruns import again


def view(**more) -> JobView:
    """A finished job."""
    stage = {"type": "generate", "model": "nano", "steps": 8, "seed": 3, "seeds": [3]}
    request = {"stages": [{**stage, "model": "", "steps": None}]}
    recipe = {"request": {"stages": [stage], "weights": {"nano": "abc"}, "made_on": "cpu float32"}}
    facts = {"operation": "generate", "request": request, "result": {"recipe": recipe}, **more}
    return JobView(id="take", state=JobState.DONE, seq=3, **facts)


def test_the_recipe_is_what_runs_again():
    """Not the request as it was sent: what was left open then stands there now, weights included."""
    operation, params = again(view(), vary=False)
    assert operation == "render" and params == view().result["recipe"]["request"]


def test_a_varied_one_has_new_seeds_and_nothing_else_new():
    operation, params = again(view(), vary=True)
    assert (operation, params) == ("render", {"stages": [{"type": "generate", "model": "nano", "steps": 8}]})


def test_a_job_without_a_result_runs_as_it_was_accepted():
    operation, params = again(view(result=None), vary=False)
    assert operation == "render" and params == view().request


def test_an_operation_that_is_no_render_runs_by_its_own_name():
    plan = view(operation="plan", request={"caption": "x", "seed": 4}, result={"data": {}})
    assert again(plan, vary=False) == ("plan", {"caption": "x", "seed": 4})
    assert again(plan, vary=True) == ("plan", {"caption": "x"})


async def test_a_job_is_run_once_more_by_the_core(desk):
    """The canonical request of a job is a request that the core takes, and gives the same one."""
    core = await desk()
    first = await core.run("steps=1", "take-1")
    operation, params = again(core.service.job("take-1"), vary=False)
    accepted = await core.submit("", "take-2", operation=operation, **params)
    await core.until(accepted.id)
    second = core.service.job("take-2")
    assert second.state == "done" and second.result["recipe"] == first.result["recipe"]
    sums = [[file["sha256"] for file in job.result["files"]] for job in (first, second)]
    assert sums[0] == sums[1]
