"""The page's functions that front ends call, over the tasks, models and adapters of the REST interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from acestep.api.errors import AceError, BadRequest, NotFound
from bridge.core.interface import EventKind, JobView
from bridge.doors.gradio import files
from bridge.doors.gradio.components import AUDIO, FILES, FLAG, NUMBER, TEXT, Parameter, Signature
from bridge.doors.gradio.sessions import Report
from bridge.doors.gradio.wrapper import FEBRUARY, OUR_OWN, as_the_page_has_it, named_values, params_of
from bridge.doors.gradio.wrapper import FILES as FILE_FIELDS
from bridge.doors.http.site import HttpCaller
from bridge.doors.rest import facts, results
from bridge.doors.rest.door import RestDoor
from bridge.doors.rest.fields import Told, read_boolean, read_number
from bridge.doors.rest.translate import Standing, Translation, translate
from bridge.doors.rest.words import told_sample

SINGLES = 8
"""Takes that have a place of their own in the answer; the list behind them holds all."""

LOOK_SECONDS = 20.0
"""Longest wait for the next event of a job."""

BETWEEN_SECONDS = 0.05
"""Pause while the music follows the words that the language model has written."""


class GradioCalls:
    """The functions, for one caller at an address."""

    def __init__(self, rest: RestDoor, caller: HttpCaller, root: str) -> None:
        self._rest = rest
        self._caller = caller
        self._root = root

    # A generation

    async def generation_wrapper(self, data: Sequence[Any], report: Report) -> list[Any]:
        """Make what the page's values ask for; takes, all files, details, status, seeds."""
        values = named_values(data)
        translation = self._translated(values)
        translation.told.ignored = [
            name for name in translation.told.ignored if not as_the_page_has_it(name, values.get(name))
        ]
        task, accepted = await self._rest.tasks.release(translation, self._caller)
        translation.told.notes += accepted.get("notes") or []
        try:
            view = await self._ended(task, report)
        except asyncio.CancelledError:
            await asyncio.shield(self._rest.tasks.cancel(task))
            raise
        takes = await asyncio.to_thread(self._takes, view)
        singles = [*takes[:SINGLES], *[None] * (SINGLES - len(takes))]
        asked = {"prompt": translation.prompt, "lyrics": translation.lyrics}
        item = results.success(task, view, asked, self._rest.tasks.words(task))[0]
        return [
            *singles,
            takes,
            _details(item, view),
            _status(len(takes), translation.told),
            item.get("seed_value", ""),
        ]

    def _translated(self, values: dict[str, Any]) -> Translation:
        """What the values mean, its files found. Raises an `AceError`."""
        sent = {name: value for name, value in values.items() if name not in (*FILE_FIELDS, *OUR_OWN)}
        standing, uploads = self._rest.choices.standing(self._rest.core, self._caller), {}
        for field, part in zip(FILE_FIELDS, ("reference", "source"), strict=True):
            if field in values:
                name = files.named_file(values[field], field)
                if upload := files.upload_of(name):
                    uploads[part] = upload
                elif (found := files.result_of_name(name)) is not None:
                    sent[field] = str(sound_of(self._rest, *found))
                    standing = _trusting(standing)
                else:
                    sent[field] = name
        translation = translate(sent, uploads, standing)
        translation.params.update(params_of(values))
        return translation

    async def _ended(self, task: str, report: Report) -> JobView:
        """The job of a task when it has ended well. Raises `BadRequest` with the reason when it has not."""
        tasks, core = self._rest.tasks, self._rest.core
        seen: dict[str, int] = {}
        while (entry := tasks.entry(task))["status"] == results.WAITS:
            view = tasks.view(task)
            if view is None or view.state.terminal:  # between the words and the music
                await asyncio.sleep(BETWEEN_SECONDS)
                continue
            for event in await core.wait(view.id, seen.get(view.id, -1), LOOK_SECONDS):
                seen[view.id] = event.seq
                if event.kind is EventKind.PROGRESS:
                    report(event.data)
        if entry["status"] == results.FAILED:
            raise BadRequest(json.loads(entry["result"])[0]["error"])
        return core.job(task)

    def _takes(self, view: JobView) -> list[dict[str, Any]]:
        listed = results.answers((view.result or {}).get("files") or [])
        return [
            files.result_data(view.id, index, file["path"], self._root, _size(file["path"])) for index, file in listed
        ]

    # Examples, models, adapters

    async def load_random_simple_description(self, data: Sequence[Any], report: Report) -> list[Any]:
        """A description to start from, whether it is instrumental, its language."""
        found = told_sample(await self._rest.said("example", {}, self._caller), simple=True)
        return [found["description"], found["instrumental"], found["vocal_language"]]

    async def init_service_wrapper(self, data: Sequence[Any], report: Report) -> list[Any]:
        """Name the model of generations that name none; it is opened by the first of them."""
        name = _text(data, 1).strip()
        choices = self._rest.choices
        known = facts.names_of(await choices.look(self._rest.core))
        if name and name not in known:
            return [f"❌ there is no model {name[:100]!r} on this machine; there are {', '.join(sorted(known))}"]
        choices.model = name or choices.model
        return [f"✅ {facts.inventory(self._rest.core, choices.model)['default_model']} is used from now on"]

    async def load_lora(self, data: Sequence[Any], report: Report) -> list[Any]:
        """Use an adapter for what follows."""
        listed = await self._rest.said("loras", {}, self._caller)
        known = {str(row["name"]): str(row.get("kind") or "") for row in listed.get("loras") or []}
        return [_tried(lambda: f"{self._rest.adapters.load(_text(data, 0)[:4096], '', known)} is used from now on")]

    async def unload_lora(self, data: Sequence[Any], report: Report) -> list[Any]:
        """Use none any more."""
        had = bool(self._rest.adapters.names)
        self._rest.adapters.unload()
        return ["✅ no adapter is in use now" if had else "⚠️ no adapter was loaded"]

    async def set_lora_scale(self, data: Sequence[Any], report: Report) -> list[Any]:
        """How strongly the adapter acts."""
        scale = read_number(data[0]) if data else None
        if scale is None or not 0 <= scale <= 1:
            return ["❌ the scale of an adapter must be 0 to 1"]
        return [_tried(lambda: f"{self._rest.adapters.scale(scale, '')} acts with {scale:g}")]

    async def set_use_lora(self, data: Sequence[Any], report: Report) -> list[Any]:
        """Use what is loaded, or not."""
        use = bool(read_boolean(data[0]) if data else False)
        if use and not self._rest.adapters.names:
            return ["❌ no adapter is loaded"]
        self._rest.adapters.used = use
        return [f"✅ adapters are {'used' if use else 'left out'}"]


def sound_of(rest: RestDoor, job: str, index: int) -> Path:
    """A file of a result. Raises `NotFound` or `UnknownJob`."""
    listed = (rest.core.job(job).result or {}).get("files") or []
    if index >= len(listed):
        raise NotFound(f"the job {job} has {len(listed)} result files", field="path")
    return Path(listed[index]["path"])


def _text(data: Sequence[Any], at: int) -> str:
    return data[at] if len(data) > at and isinstance(data[at], str) else ""


def _tried(work: Callable[[], str]) -> str:
    """What the original's page writes: a tick and what was done, or a cross and why not."""
    try:
        return f"✅ {work()}"
    except AceError as failure:
        return f"❌ {failure.message}"


def _trusting(standing: Standing) -> Standing:
    """A standing in which a name of the daemon's own results is taken from a caller elsewhere, too."""
    return replace(standing, local=True)


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _details(item: dict[str, Any], view: JobView) -> str:
    """What was made, in lines that front ends search: tempo, length, key, metre."""
    metas = item.get("metas") or {}
    listed = (view.result or {}).get("files") or [{}]
    seconds = listed[0]["length"] / listed[0]["rate"] if listed[0].get("rate") else None
    rows = {
        "BPM": metas.get("bpm"),
        "Duration": f"{seconds:g}" if seconds else metas.get("duration"),
        "Key": metas.get("keyscale"),
        "Time Signature": metas.get("timesignature"),
        "Caption": item.get("prompt"),
        "Model": item.get("dit_model"),
        "Seed": item.get("seed_value"),
    }
    lines = [f"{name}: {value}" for name, value in rows.items() if value not in (None, "")]
    return "\n".join([*lines, *([item["generation_info"]] if item.get("generation_info") else [])])


def _status(count: int, told: Told) -> str:
    lines = [f"✅ {count} {'take' if count == 1 else 'takes'} made"]
    lines += [f"{name} has no effect here" for name in told.ignored]
    lines += [f"{name}: {change['why']}" for name, change in told.changed.items()]
    return "\n".join([*lines, *told.notes])


Call = Callable[[GradioCalls, Sequence[Any], Report], Awaitable[list[Any]]]

STATUS = Parameter("status", "Status", TEXT, "")

TAKES = [Parameter(f"take_{number}", f"Take {number}", AUDIO) for number in range(1, SINGLES + 1)]

INIT = [
    Parameter("checkpoint", "Checkpoint", TEXT, ""),
    Parameter("config_path", "Model", TEXT, ""),
    Parameter("device", "Device", TEXT, "auto"),
    Parameter("init_llm", "Language model", FLAG, False),
    Parameter("lm_model_path", "Language model path", TEXT, ""),
    Parameter("backend", "Backend", TEXT, "vllm"),
    Parameter("use_flash_attention", "Flash attention", FLAG, False),
    Parameter("offload_to_cpu", "Offload", FLAG, False),
    Parameter("offload_dit_to_cpu", "Offload the model", FLAG, False),
    Parameter("compile_model", "Compile", FLAG, False),
    Parameter("quantization", "Quantisation", FLAG, False),
]
"""Most of it says what the daemon's own settings decide."""

_ENDPOINTS: list[tuple[Call, Sequence[Parameter], Sequence[Parameter]]] = [
    (
        GradioCalls.generation_wrapper,
        [place.parameter for place in FEBRUARY],
        [
            *TAKES,
            Parameter("files", "All files", FILES),
            Parameter("details", "Details", TEXT, ""),
            STATUS,
            Parameter("seed", "Seed", TEXT, ""),
        ],
    ),
    (
        GradioCalls.load_random_simple_description,
        [],
        [
            Parameter("description", "Description", TEXT, ""),
            Parameter("instrumental", "Instrumental", FLAG, False),
            Parameter("vocal_language", "Language", TEXT, ""),
        ],
    ),
    (GradioCalls.init_service_wrapper, INIT, [STATUS]),
    (GradioCalls.load_lora, [Parameter("lora_path", "Adapter", TEXT, "")], [STATUS]),
    (GradioCalls.unload_lora, [], [STATUS]),
    (GradioCalls.set_lora_scale, [Parameter("scale", "Scale", NUMBER, 1.0)], [STATUS]),
    (GradioCalls.set_use_lora, [Parameter("use_lora", "Use the adapter", FLAG, False)], [STATUS]),
]

ENDPOINTS: list[tuple[Signature, Call]] = [
    (Signature(call.__name__, takes, gives), call) for call, takes, gives in _ENDPOINTS
]
"""Every endpoint with its function, by number."""
