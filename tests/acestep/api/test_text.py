"""Text files and languages as people write them."""

from __future__ import annotations

import json
import tomllib

import pytest

from acestep.api.errors import AceError, UnknownName
from acestep.api.languages import NAMES, language_name
from acestep.api.music import LANGUAGES
from acestep.api.preset import read_preset
from acestep.api.text import decode_text, read_text
from bridge.client.daemon_address import read_connection
from bridge.performance.mapping import load_mapping
from bridge.settings import read_config

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-16-be"])
def test_any_mark_is_read_over(tmp_path, encoding):
    """The text is the same and the mark is no part of it."""
    text = 'caption = "Säng 歌"\n'
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "x").write_bytes(mark + text.encode(encoding))
    assert read_text(tmp_path / "x") == text


@pytest.mark.parametrize("data", [b"\xff", b"caption\x80", b"\xff\xfea", b"\xef\xbb\xbf\xff"])
def test_what_is_no_text_is_refused(data):
    """As Python refuses it; callers say which file."""
    with pytest.raises(UnicodeDecodeError):
        decode_text(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_file_that_people_edit_may_have_a_mark(tmp_path, encoding):
    """Settings, mappings, presets, and the file that scripts look for the daemon in."""
    path = tmp_path / "file"
    path.write_text("osc_port = 9_800\n", encoding)
    assert read_config(path) == tomllib.loads("osc_port = 9_800\n")
    path.write_text('[[trigger]]\non = "note"\nlow = 36\nhigh = 36\naction = "tap"\n', encoding)
    assert len(load_mapping(path).trigger) == 1
    path.write_text(json.dumps({"rpc": {"port": 9_701}}), encoding)
    assert read_connection(path) == {"rpc": {"port": 9_701}}
    path.write_text("{}", encoding)
    with pytest.raises(AceError) as caught:
        read_preset(path)
    assert "JSON" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "code"),
    [("EN", "en"), ("en", "en"), ("en-US", "en"), ("en_GB", "en"), ("English", "en"), (" Deutsch ", "de"),
     ("ZH-hans", "zh"), ("zh_TW", "zh"),
     ("Yue", "yue"), ("jp", "ja"), ("Unknown", "unknown"), ("instrumental", "unknown"), ("pt-BR", "pt"), ("español", "es")],
)  # fmt: skip
def test_languages(given, code):
    """In any case, with a region, by name."""
    assert language_name(given) == code


@pytest.mark.parametrize("given", ["klingon", "e", "english!", "xx-YY", "englsh"])
def test_a_language_that_is_not_known_is_refused(given):
    """With the codes that there are, and the nearest name."""
    with pytest.raises(UnknownName) as caught:
        language_name(given)
    assert caught.value.limits["choices"] == list(LANGUAGES)
    assert ("en (english)" in caught.value.message) == given.startswith("engl")


def test_every_name_means_a_language():
    """No name without a code of the model's."""
    assert set(NAMES.values()) <= set(LANGUAGES)
    assert {name for name in LANGUAGES if name not in NAMES.values()} == set()
