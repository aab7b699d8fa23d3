"""Settings: one table, four origins, and a sentence for everything that does not fit."""

import pytest

from acestep.api.errors import BadRequest
from bridge.settings import PREFIX, SECRETS, features, parse_text, read_config, resolve, table


def origins_of(name, **places):
    resolved = resolve(places.get("flags"), places.get("environment", {}), places.get("config"))
    return getattr(resolved.settings, name), resolved.origins[name]


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path):
    """Four origins, in that order, each named."""
    config = tmp_path / "config.toml"
    config.write_text("osc_port = 3\n")
    environment = {PREFIX + "OSC_PORT": "2"}
    assert origins_of("osc_port", flags={"osc_port": 1}, environment=environment, config=config) == (1, "flag")
    assert origins_of("osc_port", environment=environment, config=config) == (2, "environment")
    assert origins_of("osc_port", config=config) == (3, "config file")
    assert origins_of("osc_port") == (9700, "default")


@pytest.mark.parametrize(
    ("name", "variable", "text", "value"),
    [
        ("model", "ACESTEP_CONFIG_PATH", "acestep-v15-turbo", "acestep-v15-turbo"),
        ("queue_length", "ACESTEP_QUEUE_MAXSIZE", "12", 12),
    ],
)
def test_a_variable_of_ace_step_stands_in_for_the_default(tmp_path, name, variable, text, value):
    """It is told as the origin; our own variable and the config file stand above it, an empty one says nothing."""
    config = tmp_path / "config.toml"
    config.write_text("queue_length = 3\nmodel = 'base'\n")
    theirs = {variable: text}
    assert origins_of(name, environment=theirs) == (value, variable)
    assert origins_of(name, environment=theirs, config=config)[1] == "config file"
    assert origins_of(name, environment={**theirs, PREFIX + name.upper(): "5"})[1] == "environment"
    assert origins_of(name, environment={variable: " "})[1] == "default"


@pytest.mark.parametrize("text", ["many", "0"])
def test_a_variable_of_ace_step_that_does_not_fit_is_named(text):
    """The error says which variable it was, since nobody set that setting."""
    with pytest.raises(BadRequest) as caught:
        resolve({}, {"ACESTEP_QUEUE_MAXSIZE": text})
    assert "ACESTEP_QUEUE_MAXSIZE" in caught.value.message


def test_the_config_file_of_the_home_is_found(tmp_path):
    """``config.toml`` in the home needs no flag."""
    (tmp_path / "config.toml").write_text("queue_length = 7\n")
    resolved = resolve({"home": str(tmp_path)}, {})
    assert (resolved.settings.queue_length, resolved.config) == (7, tmp_path / "config.toml")


@pytest.mark.parametrize("origin", ["flags", "environment", "config"])
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path, origin):
    """A misspelt setting never passes silently, wherever it stands."""
    config = tmp_path / "config.toml"
    config.write_text("ocs_port = 1\n")
    places = {"flags": {"ocs_port": 1}, "environment": {PREFIX + "OCS_PORT": "1"}, "config": config}
    with pytest.raises(BadRequest, match="osc_port") as caught:
        origins_of("osc_port", **{origin: places[origin]})
    assert caught.value.field == "ocs_port"


@pytest.mark.parametrize(
    ("name", "text"), [("osc_port", "loud"), ("osc", "maybe"), ("history_days", "x"), ("osc_port", "70000")]
)
def test_a_value_that_does_not_fit_names_its_setting(name, text):
    """Wrong type or out of range: the error has the field and its limits."""
    with pytest.raises(BadRequest) as caught:
        resolve({}, {PREFIX + name.upper(): text})
    assert caught.value.field == name and caught.value.limits


def test_every_setting_can_come_from_the_environment():
    """Each row's default, written as text, reads back as itself."""
    for info in table():
        text = ",".join(info.default) if isinstance(info.default, list) else str(info.default)
        assert parse_text(info.name, info.type, text) == info.default, info.name


def test_every_setting_has_a_summary():
    """``config show`` and --help have a sentence for each."""
    assert [info.name for info in table() if not info.summary.endswith(".")] == []


def test_secrets_are_never_shown():
    """The token's row says that there is one, not which."""
    rows = {row["name"]: row["value"] for row in resolve({"token": "s3cret"}, {}).rows()}
    assert {rows[name] for name in SECRETS} == {"(hidden)"}


@pytest.mark.parametrize("text", ["osc_port = ", "\x00", "home = '/elsewhere'"])
def test_a_bad_config_file_is_one_clear_error(tmp_path, text):
    """No TOML, or a key that makes no sense there."""
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(BadRequest, match=str(config)):
        read_config(config)


def test_feature_flags_come_from_the_list_and_the_environment():
    """``ACESTEP_FEATURE_<NAME>`` adds and takes away; dash and underscore are the same letter."""
    settings = resolve({"features": ["old-thing", "other"]}, {}).settings
    enabled = features(settings, {"ACESTEP_FEATURE_NEW_THING": "1", "ACESTEP_FEATURE_OLD_THING": "0"})
    assert {"new-thing", "new_thing", "other"} <= enabled and not {"old-thing", "old_thing"} & enabled
    assert "autogen" in features(resolve({}, {}).settings, {}) and "autogen" in enabled
    assert "autogen" not in features(resolve({"features": ["-autogen"]}, {}).settings, {})
    assert "autogen" not in features(resolve({}, {}).settings, {"ACESTEP_FEATURE_AUTOGEN": "0"})
