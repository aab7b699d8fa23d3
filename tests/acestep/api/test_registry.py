"""What a plug-in registers appears by itself, whole or not at all."""

import pytest

from acestep.api import Registry, SamplerSpec
from acestep.api.errors import FeatureDisabled, NameClash, PluginFailed, ReservedName, UnknownName, UnknownOperation
from acestep.api.registry import PluginState

from ..conftest import Edit, Make, plugin


def test_a_stage_type_becomes_an_operation_with_a_flat_schema(registry):
    fields = registry.operation("edit").schema.__struct_fields__
    assert {"source", "start", "end", "track", "steps", "seed", "caption", "bpm", "returns", "variants"} <= set(fields)
    assert not {"input"} & set(fields)


def test_a_stage_type_without_source_has_no_region(registry):
    assert "start" not in registry.operation("make").schema.__struct_fields__


def test_a_name_clash_names_both_plugins_and_registers_nothing(registry):
    new = SamplerSpec(name="fresh", run=lambda *a: iter(()), summary="Fresh.")
    with pytest.raises(NameClash, match=r"stranger and builtin.*'edit'"):
        registry.add_plugin(plugin(register_samplers=[new], register_stages=[Edit()]), "stranger")
    assert "fresh" not in registry.samplers


def test_an_alias_can_clash_too(registry):
    with pytest.raises(NameClash):
        registry.add_plugin(
            plugin(register_samplers=[SamplerSpec(name="ode", run=lambda *a: iter(()), summary="x")]), "stranger"
        )


@pytest.mark.parametrize("name", ["status", "job", "render", "help"])
def test_a_reserved_name_is_refused(name):
    stage = Make()
    stage.name = name
    with pytest.raises(ReservedName, match=name):
        Registry().add_plugin(plugin(register_stages=[stage]), "stranger")


@pytest.mark.parametrize("name", ["", "Has Space", "../up", "a" * 41, "9lives"])
def test_a_name_that_could_not_be_an_address_is_refused(name):
    stage = Make()
    stage.name = name
    with pytest.raises(PluginFailed):
        Registry().add_plugin(plugin(register_stages=[stage]), "stranger")


def test_a_broken_plugin_file_is_reported_and_the_others_load(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no luck')\n")
    (tmp_path / "good.py").write_text(
        "from acestep.api import SamplerSpec, hookimpl\n"
        "@hookimpl\n"
        "def register_samplers(register):\n"
        "    register(SamplerSpec(name='mine', run=lambda *a: iter(()), summary='Mine.'))\n"
    )
    registry = Registry.load(folder=tmp_path, entry_points=False)
    states = {report.name: report for report in registry.plugins}
    assert states["broken"].state is PluginState.LOAD_ERROR
    assert "no luck" in states["broken"].reason
    assert states["good"].offers == ("samplers:mine",)


def test_a_disabled_plugin_is_listed_and_not_imported(tmp_path):
    (tmp_path / "quiet.py").write_text("raise SystemExit('imported')\n")
    registry = Registry.load(folder=tmp_path, entry_points=False, disabled=["quiet"])
    assert [report.state for report in registry.plugins] == [PluginState.DISABLED]


def test_a_misspelt_hook_is_an_error():
    with pytest.raises(Exception, match="register_stagez"):
        Registry().add_plugin(plugin(register_stagez=[]), "stranger")


def test_a_feature_hides_its_operation_until_enabled():
    stage = Make()
    stage.feature = "lab"
    hidden, shown = Registry(), Registry(features=["lab"])
    for registry in (hidden, shown):
        registry.add_plugin(plugin(register_stages=[stage]), "p")
    assert "make" not in hidden.visible() and "make" in shown.visible()
    with pytest.raises(FeatureDisabled, match="lab"):
        hidden.operation("make")


def test_unknown_names_list_the_choices(registry):
    with pytest.raises(UnknownOperation) as caught:
        registry.operation("nope")
    assert "edit" in caught.value.limits["choices"]
    with pytest.raises(UnknownName) as caught:
        registry.sampler("nope")
    assert caught.value.limits["choices"] == ["euler"]


def test_added_parts_follow_their_audio_on_base_models():
    """An instrument or a whole arrangement is made at guidance 1, which users found to keep to what is there."""
    from acestep.api.variants import VARIANTS

    for name in ("base", "xl-base"):
        scales = {task: VARIANTS[name].for_task(task).guidance_scale for task in ("lego", "complete", "text2music")}
        assert scales == {"lego": 1.0, "complete": 1.0, "text2music": 7.0}


@pytest.mark.parametrize("variant", ["base", "xl-base"])
@pytest.mark.parametrize(("stage", "wish"), [("lego", {"track": "bass"}), ("complete", {"tracks": ["bass"]})])
def test_added_parts_are_never_thought_about(variant, stage, wish):
    """A plan's codes would take the place of the audio that the part should follow; who asks for it is told."""
    from acestep.api.conditioning import Conditioning
    from acestep.api.plan import SourceFacts
    from acestep.api.request import Output
    from acestep.api.thinking import check_thinking, wants_planning
    from acestep.api.variants import VARIANTS, ModelInfo

    kind = Registry.load().stage(stage)
    facts = SourceFacts(rate=48_000, frames=480_000, start=0, length=480_000, channels=2)
    model = ModelInfo(name=variant, path="", variant=variant, task_types=VARIANTS[variant].tasks)
    plan = kind.plan(kind.Params(**wish), facts, model)
    assert not plan.semantic_codes
    assert not wants_planning(Conditioning(thinking=True), [plan])
    assert any(
        "the planner was not asked" in note for note in check_thinking(Conditioning(thinking=True), [plan], Output())
    )
