"""Commands about jobs: list, look at, cancel, fetch, and the queue they stand in."""

from __future__ import annotations

import argparse
import time
from typing import Any

from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.operations import add_job_options, beside_params, finish, target_of
from bridge.cli.results import save_files, show_result
from bridge.cli.show import clock, show_json, show_pairs, show_table, tell
from bridge.cli.targets import check_target
from bridge.core.interface import JobState
from bridge.core.reruns import closed_request


def jobs(parser: argparse.ArgumentParser) -> None:
    """Filters of the list."""
    parser.description = "List jobs, newest first."
    parser.add_argument("search", nargs="?", default="", metavar="TEXT", help="text in id, operation or caption")
    parser.add_argument(
        "--state",
        action="append",
        choices=[str(state) for state in JobState],
        default=[],
        help="only this state (may be repeated)",
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="most jobs to list [default 20]")
    parser.add_argument("--before", default="", metavar="ID", help="only jobs older than this one: the next page")
    parser.set_defaults(run=_jobs)


def _jobs(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    filters = {"search": options.search, "states": options.state, "limit": options.limit, "before": options.before}
    found = contact.call("job.list", **filters)
    contact.close()
    if options.json:
        show_json(found)
    elif found:
        show_table([_job_row(view) for view in found], ("id", "operation", "state", "age", "took", "client", "device"))
    else:
        tell("no jobs")
    return Exit.OK


def _job_row(view: dict[str, Any]) -> tuple[Any, ...]:
    state = view["state"]
    if state == "running":
        state = f"running {float(view['progress'].get('fraction', 0.0)):.0%}"
    elif state == "queued" and view["position"]:
        state = f"queued ({view['position']})"
    took = view["ended"] - view["started"] if view["ended"] and view["started"] else None
    return (
        view["id"],
        view["operation"],
        state,
        clock(max(time.time() - view["created"], 0.0)),
        clock(took),
        view["client"],
        view.get("device", ""),
    )


def job(parser: argparse.ArgumentParser) -> None:
    """Which job, and whether to wait."""
    parser.description = (
        "Show one job in full. With --wait, follow it to its end; the exit code then tells how it ended."
    )
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--wait", action="store_true", help="follow the job to its end")
    parser.add_argument(
        "--recipe",
        action="store_true",
        help="print only its complete request; `render --request FILE` runs it again",
    )
    parser.add_argument("--out", metavar="PATH", help="with --wait: copy the files there")
    parser.add_argument("--force", action="store_true", help="replace a file that --out names")
    parser.set_defaults(run=_job)


def _job(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    try:
        view = contact.call("job.result", id=options.id)
        if options.recipe:
            show_json(closed_request(view["request"], view["result"]))
            return Exit.OK
        if options.wait:
            return finish(contact, options.id, options)
    finally:
        contact.close()
    if options.json:
        show_json(view)
        return Exit.OK
    names = ("id", "operation", "state", "position", "priority", "client", "attempt", "device", "only_on", "planner_on")
    show_pairs([(name, view.get(name)) for name in names])
    show_pairs([("progress", view["progress"]), ("error", (view["error"] or {}).get("message"))])
    if view["result"]:
        show_result(view, [])
    return Exit.OK


def rerun(parser: argparse.ArgumentParser) -> None:
    """Which job, and whether as another take."""
    parser.description = (
        "Run a job once more. Its recipe has every value, so you get the same samples; with --vary the seeds are "
        "new. If the weights have changed, the job is refused."
    )
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--vary", action="store_true", help="another take: new seeds, nothing else changes")
    add_job_options(parser)
    parser.set_defaults(run=_rerun)


def _rerun(options: argparse.Namespace) -> int:
    target = target_of(options)
    if target is not None:
        check_target(target, [])
    contact = open_contact(options, starts=True)
    try:
        accepted = contact.call("job.rerun", job=options.job, vary=options.vary, **beside_params(options))
        if options.detach:
            show_json(accepted) if options.json else print(accepted["id"])
            return Exit.OK
        return finish(contact, accepted["id"], options)
    finally:
        contact.close()


def cancel(parser: argparse.ArgumentParser) -> None:
    """Which jobs."""
    parser.description = "Cancel waiting or running jobs. Jobs that have ended are left alone."
    parser.add_argument("ids", nargs="+", metavar="ID")
    parser.set_defaults(run=_cancel)


def _cancel(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    try:
        views = [contact.call("job.cancel", id=one) for one in options.ids]
    finally:
        contact.close()
    if options.json:
        show_json(views)
    else:
        for view in views:
            print(f"{view['id']}  {'cancelling' if view['state'] == 'running' else view['state']}")
    return Exit.OK


def result(parser: argparse.ArgumentParser) -> None:
    """Which job, and where its files go."""
    parser.description = (
        "List the files of a finished job. For the recipe that makes them again, use `job ID --recipe`."
    )
    parser.add_argument("id", metavar="ID")
    parser.add_argument(
        "--out", metavar="PATH", help="copy the files there: a folder, or a file name for a single file"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that --out names")
    parser.set_defaults(run=_result)


def _result(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    try:
        view = contact.call("job.result", id=options.id)
        saved = save_files(contact, view, options)
    finally:
        contact.close()
    if options.json:
        show_json({**(view["result"] or {}), "state": view["state"], "saved": [str(path) for path in saved]})
    else:
        show_result(view, saved)
    return Exit.OK if view["state"] == "done" else Exit.FAILED


def queue(parser: argparse.ArgumentParser) -> None:
    """What to do with the queue."""
    parser.description = "pause: start no more jobs; resume: start jobs again; clear: cancel every waiting job."
    parser.add_argument("action", choices=("pause", "resume", "clear"))
    parser.set_defaults(run=_queue)


def _queue(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    answer = contact.call(f"queue.{options.action}")
    contact.close()
    if options.json:
        show_json(answer)
    else:
        cancelled = answer.get("cancelled") if isinstance(answer, dict) else None
        tell(f"queue: {options.action}" + ("" if cancelled is None else f", {cancelled} cancelled"))
    return Exit.OK
