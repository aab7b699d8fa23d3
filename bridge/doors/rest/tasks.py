"""Tasks of the REST interface as jobs of ours: handed in, asked about, cancelled.

A task is a job of the same id. Where the language model writes the words first, that is a job of its own (``<task>.words``), and
the music is handed in with what it wrote as soon as it is done.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from acestep.api.errors import AceError
from bridge.core.interface import JobState, JobView
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http.site import HttpCaller
from bridge.doors.operation_methods import OPERATION_PREFIX
from bridge.doors.rest import results
from bridge.doors.rest.planned import with_words
from bridge.doors.rest.translate import Translation

log = logging.getLogger(__name__)

REMEMBERED = 2_000
"""Tasks whose own words are remembered; of older ones the job's are told."""

WORDS = ".words"
"""Behind the id of a task: the job that writes its words."""

LOOK_SECONDS = 30.0
"""Longest wait for the next event of a job that is followed."""


@dataclass
class _Task:
    """What the door itself knows of a task."""

    translation: Translation
    caller: HttpCaller
    trouble: str = ""
    """Why the music could not be submitted after the words."""
    music: asyncio.Task[None] | None = None


class Tasks:
    """The tasks of the door."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._known: OrderedDict[str, _Task] = OrderedDict()

    async def release(self, translation: Translation, caller: HttpCaller) -> tuple[str, dict[str, Any]]:
        """Submit a translated request: the task's id and what the daemon accepted. Raises an `AceError`."""
        task = str(uuid.uuid4())
        known = _Task(translation, caller)
        if translation.words is None:
            accepted = await self._submit(task, translation.operation, translation.params, caller)
        else:
            accepted = await self._submit(task + WORDS, *translation.words, caller)
            known.music = asyncio.create_task(self._music(task, known), name=f"task {task}")
        self._known[task] = known
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return task, accepted

    async def _submit(self, job: str, operation: str, params: dict[str, Any], caller: HttpCaller) -> dict[str, Any]:
        found: dict[str, Any] = await self._dispatcher.call(OPERATION_PREFIX + operation, {**params, "id": job}, caller)
        return found

    async def _music(self, task: str, known: _Task) -> None:
        """Wait for the words, then hand the music in with them."""
        try:
            words = await self.ended(task + WORDS)
            if words.state is JobState.DONE:
                params = with_words(known.translation.params, (words.result or {}).get("data") or {})
                await self._submit(task, known.translation.operation, params, known.caller)
        except AceError as failure:
            known.trouble = failure.message
        except Exception:  # the task must tell its end, whatever went wrong
            log.exception("the music of a task could not be submitted", extra={"job": task})
            known.trouble = "the music could not be submitted; the daemon's log says why"

    async def ended(self, job: str) -> JobView:
        """A job once it has ended. Raises `UnknownJob` when it was forgotten."""
        after = -1
        while not (view := self._dispatcher.core.job(job)).state.terminal:
            events = await self._dispatcher.core.wait(job, after, LOOK_SECONDS)
            after = max((event.seq for event in events), default=after)
        return view

    def view(self, task: str) -> JobView | None:
        """The job that a task is at the moment; none where nobody knows it."""
        try:
            return self._dispatcher.core.job(task)
        except AceError:
            return self.words(task)

    def words(self, task: str) -> JobView | None:
        """The job that wrote the words of a task; none where there was none."""
        try:
            return self._dispatcher.core.job(task + WORDS)
        except AceError:
            return None

    def trouble(self, task: str) -> str:
        """Why the music of a task could not be submitted after its words; empty while it can."""
        known = self._known.get(task)
        return known.trouble if known is not None else "the daemon no longer knows this task"

    def entry(self, task: str) -> dict[str, Any]:
        """The task's row of ``/query_result``."""
        view, known = self.view(task), self._known.get(task)
        asked = {} if known is None else {"prompt": known.translation.prompt, "lyrics": known.translation.lyrics}
        if view is None or not view.id.endswith(WORDS) or view.id == task:
            return results.entry(task, view, asked, words=self.words(task))
        return self._words_entry(task, view, known)

    def _words_entry(self, task: str, view: JobView, known: _Task | None) -> dict[str, Any]:
        """The row of a task whose words are being written, or have just been."""
        trouble = (
            known.trouble if known else "the daemon restarted between the words and the music; send the task again"
        )
        if view.state is JobState.DONE and trouble:
            return results.entry(task, _failed(view, trouble), {})
        if view.state is JobState.DONE:
            return results.entry(task, _running(view), {}, "the words are written; the music is next")
        return results.entry(task, view, {}, "" if view.state.terminal else f"words: {results.progress_text(view)}")

    async def cancel(self, task: str) -> JobView:
        """Cancel a task; one that has ended is left as it is. Raises `UnknownJob`."""
        known = self._known.get(task)
        if known is not None and known.music is not None:
            known.music.cancel()
            known.trouble = known.trouble or "the task was cancelled"
        core = self._dispatcher.core
        view = self.view(task)
        return await core.cancel(task if view is None else view.id)


def _failed(view: JobView, why: str) -> JobView:
    return msgspec.structs.replace(view, state=JobState.FAILED, error={"message": why})


def _running(view: JobView) -> JobView:
    return msgspec.structs.replace(view, state=JobState.RUNNING, progress={"fraction": 0.05, "stage": "words"})
