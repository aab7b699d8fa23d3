"""The planner's plug-in: operations, schemas, guide data and examples, all without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import plugins.planner
from acestep.api import music
from acestep.api.errors import AceError
from acestep.api.registry import Registry
from acestep.api.schema import convert, describe
from plugins.planner.examples import EXAMPLES, pick, run
from plugins.planner.form_help import FORM_HELP
from plugins.planner.requests import PlanRequest

NAMES = {"plan", "compose", "format", "understand", "codes", "score", "lyrics-timing", "example"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """A registry with the planner alone."""
    registry = Registry()
    registry.add_plugin(plugins.planner, "planner")
    return registry


def test_operations_and_backends_are_registered(registry: Registry) -> None:
    """All operations, in one group; a field offers the backends that plug-ins brought."""
    assert {name for name, op in registry.operations.items() if op.group == "planner"} == NAMES
    assert registry.choices("planners") == ["auto", "mlx", "rules", "transformers", "vllm"]


def test_every_field_is_described(registry: Registry) -> None:
    """No field without a summary and a default: forms and pages are made from them."""
    for name in NAMES:
        for field in describe(registry.operation(name).schema):
            assert field.summary and not field.required, f"{name}.{field.name}"


def test_names_are_spelled_canonically_at_the_door() -> None:
    """A request leaves its check in the model's own spelling."""
    request = convert({"key": "f#m", "time_signature": "6/8", "language": "de"}, PlanRequest)
    assert (request.key, request.time_signature, request.language) == ("F# minor", "6", "de")


@pytest.mark.parametrize(
    ("params", "code", "field"),
    [
        ({"language": "xx"}, "unknown_name", "language"),
        ({"key": "H moll"}, "bad_request", "key"),
        ({"time_signature": "5/5"}, "bad_request", "time_signature"),
        ({"lyrics": "la " * 20_000}, "bad_request", "lyrics"),
        ({"caption": "<|im_end|>"}, "bad_request", "caption"),
        ({"bpm": 10.0}, "bad_request", "bpm"),
        ({"duration": 601.0}, "bad_request", "duration"),
        ({"duration": 0.0}, "bad_request", "duration"),
        ({"seeds": [-7]}, "bad_request", "seeds"),
        ({"variants": 9}, "bad_request", "variants"),
        ({"temperature": 3.0}, "bad_request", "temperature"),
        ({"colour": "blue"}, "bad_request", "colour"),
    ],
)
def test_bad_input_gets_one_clear_error(params: dict, code: str, field: str) -> None:
    """Code word, field and what would be allowed."""
    with pytest.raises(AceError) as caught:
        convert(params, PlanRequest)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.limits or field in ("caption",)


def test_guide_offers_the_closed_lists_and_no_contradictions() -> None:
    """Tracks and languages are the model's own; no tag appears twice; nothing in it is empty."""
    assert FORM_HELP["tracks"] == list(music.TRACKS) and FORM_HELP["languages"] == list(music.LANGUAGES)
    tags = [tag for words in FORM_HELP["caption_tags"].values() for tag in words]
    assert len(tags) == len(set(tags)) and all(tags) and all(FORM_HELP.values())


def test_every_tag_is_explained_and_the_page_tells_the_same_words() -> None:
    """Each kind of caption tag and each lyric tag has a sentence; docs/writing-captions.md names no tag that is not offered."""
    assert list(FORM_HELP["caption_tag_kinds"]) == list(FORM_HELP["caption_tags"])
    assert list(FORM_HELP["lyric_tag_meanings"]) == FORM_HELP["lyric_tags"]
    sentences = [*FORM_HELP["caption_tag_kinds"].values(), *FORM_HELP["lyric_tag_meanings"].values()]
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in sentences)
    page = (Path(__file__).parents[3] / "docs" / "writing-captions.md").read_text("utf-8")
    kinds = {"style": "genre", "instruments": "instrument", "sound": "production"}
    rows = re.findall(r"^\| (style|mood|instruments|voice|rhythm|sound) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 6
    for kind, words in rows:
        assert set(words.split(", ")) <= set(FORM_HELP["caption_tags"][kinds.get(kind, kind)]), kind
    assert set(re.findall(r"`(\[[A-Z][^\]]*\])`", page)) <= set(FORM_HELP["lyric_tags"])


def test_every_example_can_be_planned_as_it_stands() -> None:
    """The library's fields are a valid request; captions are distinct and say nothing about tempo or key."""
    import msgspec

    assert len({entry.caption for entry in EXAMPLES}) == len(EXAMPLES) >= 12
    for entry in EXAMPLES:
        convert(msgspec.to_builtins(entry), PlanRequest)
        assert "bpm" not in entry.caption and "minor" not in entry.caption and "major" not in entry.caption


def test_examples_are_found_by_words_and_by_seed() -> None:
    """Words decide first, the seed among equals; the same seed gives the same example."""
    assert "waltz" in pick("a waltz with strings", 0).caption
    assert pick("", 7) == pick("", 7)
    assert len({pick("", seed).caption for seed in range(60)}) > 5


async def test_example_operation_answers_in_the_daemon() -> None:
    """It takes its typed request and returns fields for generate or plan."""
    from plugins.planner.requests import ExampleRequest

    answer = await run(ExampleRequest(words="techno"), None)
    assert "techno" in answer["caption"] and answer["bpm"] == 126


def test_loading_the_plugin_brings_no_tensor_library() -> None:
    """The daemon stays small: neither torch nor transformers nor the grammar compiler is imported."""
    code = "import plugins.planner, sys; print(sorted({'torch','transformers','llguidance','yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_describe_publishes_the_guide(registry: Registry) -> None:
    """Whoever fills in a plan gets tags, tracks, languages, rules and examples along with its fields."""
    from bridge.core.reports import Circumstances, describe_operation

    shown = describe_operation(registry.operation("plan"), Circumstances(registry, []))
    assert shown["guide"]["lyric_tags"] and shown["guide"]["tracks"] == list(music.TRACKS)
    assert "guide" not in describe_operation(registry.operation("codes"), Circumstances(registry, []))
