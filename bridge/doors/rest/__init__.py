"""ACE-Step's own REST interface on the HTTP server: front ends that were written for its servers work with this daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from bridge.doors.http.site import Site

TITLE = "ACE-Step's REST interface"

PAGES = [
    ("/release_task", "POST: submit a task; its id and place in the queue.", "see docs/rest.md"),
    ("/query_result", "POST: where tasks stand, and what came of them.", "see docs/rest.md"),
    ("/cancel_task", "POST: cancel a task (not of the original).", "see docs/rest.md"),
    ("/v1/audio", "A result, whole or by Range; its name stands in the result.", "curl http://127.0.0.1:9702/v1/audio?path=NAME"),
    ("/v1/stats", "Numbers of the queue.", "curl http://127.0.0.1:9702/v1/stats"),
    ("/v1/model_inventory", "Models of this machine, and what each can do.", "curl http://127.0.0.1:9702/v1/model_inventory"),
    ("/v1/init", "POST: name the model of tasks that name none.", "see docs/rest.md"),
    ("/v1/reinitialize", "POST: free the models.", "see docs/rest.md"),
    ("/create_random_sample", "POST: an example to start from.", "see docs/rest.md"),
    ("/format_input", "POST: a better caption and lyrics, by the language model or by rules.", "see docs/rest.md"),
    ("/v1/create_sample", "POST: a song from one sentence, by the language model or by rules.", "see docs/rest.md"),
    ("/v1/lora/load", "POST: use an adapter for the tasks that follow.", "see docs/rest.md"),
    ("/v1/lora/unload", "POST: use none any more.", "see docs/rest.md"),
    ("/v1/lora/toggle", "POST: use what is loaded, or not.", "see docs/rest.md"),
    ("/v1/lora/scale", "POST: how strongly an adapter acts.", "see docs/rest.md"),
    ("/v1/lora/status", "Which adapters are used.", "curl http://127.0.0.1:9702/v1/lora/status"),
    ("/v1/training/start", "POST: train a LoRA on the dataset.", "see docs/rest.md"),
    ("/v1/training/start_lokr", "POST: train a LoKr on it.", "see docs/rest.md"),
    ("/v1/training/stop", "POST: stop; the place is saved.", "see docs/rest.md"),
    ("/v1/training/status", "Where the training stands.", "see docs/rest.md"),
    ("/v1/training/export", "POST: write the adapter into a folder.", "see docs/rest.md"),
    ("/v1/training/load_tensor_info", "POST: what is prepared in a folder.", "see docs/rest.md"),
    ("/v1/training/...", "Not offered: 501.", "see docs/rest.md"),
    ("/v1/dataset/scan", "POST: make a dataset of a folder.", "see docs/rest.md"),
    ("/v1/dataset/load", "POST: open a dataset file.", "see docs/rest.md"),
    ("/v1/dataset/save", "POST: write the dataset as the original's file.", "see docs/rest.md"),
    ("/v1/dataset/samples", "Every sample.", "see docs/rest.md"),
    ("/v1/dataset/sample/INDEX", "One sample; PUT changes its labels.", "see docs/rest.md"),
    ("/v1/dataset/auto_label", "POST: label the songs, and wait for it.", "see docs/rest.md"),
    ("/v1/dataset/auto_label_async", "POST: the same, as a task.", "see docs/rest.md"),
    ("/v1/dataset/auto_label_status", "Where that stands.", "see docs/rest.md"),
    ("/v1/dataset/preprocess", "POST: prepare for training, and wait for it.", "see docs/rest.md"),
    ("/v1/dataset/preprocess_async", "POST: the same, as a task.", "see docs/rest.md"),
    ("/v1/dataset/preprocess_status", "Where that stands.", "see docs/rest.md"),
    ("/v1/dataset/...", "Not offered: 501.", "see docs/rest.md"),
]  # fmt: skip

TOKEN_IN_BODY = frozenset(
    {"/release_task", "/query_result", "/cancel_task", "/format_input", "/create_random_sample", "/v1/create_sample"}
)
"""Calls whose body may carry the token, as ``ai_token``."""


def routes(site: Site) -> list[BaseRoute]:
    """The calls."""
    from starlette.routing import Route

    from bridge.doors.rest import training
    from bridge.doors.rest.door import RestDoor, guarded

    door = RestDoor(site)
    posts = {
        "/release_task": door.release_task,
        "/query_result": door.query_result,
        "/cancel_task": door.cancel_task,
        "/v1/init": door.init,
        "/v1/reinitialize": door.reinitialize,
        "/create_random_sample": door.create_random_sample,
        "/format_input": door.format_input,
        "/v1/create_sample": door.create_sample,
        "/v1/lora/load": door.lora_load,
        "/v1/lora/unload": door.lora_unload,
        "/v1/lora/toggle": door.lora_toggle,
        "/v1/lora/scale": door.lora_scale,
    }
    gets = {
        "/v1/audio": door.audio,
        "/v1/stats": door.stats,
        "/v1/model_inventory": door.model_inventory,
        "/v1/lora/status": door.lora_status,
    }
    found: list[BaseRoute] = [Route(path, guarded(call), methods=["POST"]) for path, call in posts.items()]
    found += [Route(path, guarded(call)) for path, call in gets.items()]
    found += [Route(path, call, methods=[method]) for path, call, method in training.TrainingCalls(door).routes()]
    for prefix in ("/v1/training/{rest:path}", "/v1/dataset/{rest:path}"):
        found.append(Route(prefix, training.elsewhere, methods=["GET", "POST", "PUT"]))
    return found
