"""The one resolver of client paths: nobody gets out of the allowed folders."""

import itertools
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestep.api.errors import AceError, BadRequest, NotAllowed, NotFound, OutputUnwritable
from acestep.api.limits import MAX_PATH
from bridge.paths import AllowedRoots, Paths, default_read_roots, make_report_folder
from bridge.settings import Settings


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An allowed root with a file, a link out, a link within, and a secret beside the root."""
    base = tmp_path_factory.mktemp("world")
    root, outside = base / "root", base / "root-not"
    for folder in (root / "inner", outside):
        folder.mkdir(parents=True)
    (root / "song.wav").write_bytes(b"music")
    (root / "inner" / "take.wav").write_bytes(b"take")
    (outside / "secret.wav").write_bytes(b"secret")
    (root / "out").symlink_to(outside)
    (root / "out.wav").symlink_to(outside / "secret.wav")
    (root / "within.wav").symlink_to(root / "song.wav")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.fixture(scope="module")
def roots(world):
    return AllowedRoots([world], [world])


def test_a_file_below_the_root_is_read(world, roots):
    """Also through a link that stays inside: what is returned is the real file."""
    assert roots.reading(str(world / "inner" / "take.wav")) == world / "inner" / "take.wav"
    assert roots.reading(str(world / "within.wav")) == world / "song.wav"


@pytest.mark.parametrize(
    "tail", ["out/secret.wav", "out.wav", "../root-not/secret.wav", "inner/../../root-not/secret.wav", "loop"]
)
def test_ways_out_are_refused(world, roots, tail):
    """Links, dots, circles: refused, with the file's content untouched by any of them."""
    with pytest.raises((NotAllowed, NotFound)):
        roots.reading(f"{world}/{tail}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "song.wav",
        "C:\\x.wav",
        "c:/x.wav",
        "\\\\server\\share\\x.wav",
        "//server/share/x",
        "/a\nb",
        "/x" * MAX_PATH,
    ],
)
def test_bad_spellings_are_refused(roots, text):
    """Empty, NUL, relative, drive, network, control characters, too long."""
    with pytest.raises((BadRequest, NotAllowed)) as caught:
        roots.reading(text, "source")
    assert caught.value.field == "source"


@pytest.mark.parametrize("name", ["nul", "CON.wav", "com1", "aux.tar.wav", "lpt9 .wav"])
def test_device_names_are_refused(world, roots, name):
    """Windows opens a device under these names in any folder."""
    with pytest.raises(NotAllowed, match="device"):
        roots.reading(str(world / name))


def test_outside_says_the_same_whether_something_is_there(world, roots):
    """The answer does not tell which files exist elsewhere."""
    there, not_there = world.parent / "root-not" / "secret.wav", world.parent / "root-not" / "nothing.wav"
    answers = []
    for path in (there, not_there):
        with pytest.raises(NotAllowed) as caught:
            roots.reading(str(path))
        answers.append(caught.value.message.replace(path.name, "x"))
    assert answers[0] == answers[1]


def test_a_sibling_with_the_roots_name_as_beginning_is_outside(world, roots):
    """``/root-not`` is not below ``/root``."""
    with pytest.raises(NotAllowed):
        roots.writing(f"{world}-not")


def test_a_file_in_the_place_of_a_folder_cannot_be_written_into(world, roots):
    """Copies go into folders."""
    with pytest.raises(OutputUnwritable):
        roots.writing(str(world / "song.wav"))


PIECES = ".. . ~ out inner loop song.wav out.wav root root-not secret.wav nul C: // %2e%2e ... etc proc self".split()
ODD = ["", "\\\\", "\x00", "\u2024\u2024", "\uff0e\uff0e", "..\u200b", "a b", "\ud800"]
STARTS = ["", "/", "\\\\?\\", "/proc/self/root"]

pieces = st.one_of(st.sampled_from([*PIECES, *ODD]), st.text(max_size=12))


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(pieces, max_size=8))
def test_no_path_opens_outside_its_root(world, roots, parts):
    """10,000 paths built to escape (500 draws, five beginnings, both orders, read and write): each is refused, or what would
    be opened really lies below the root."""
    for start, order in itertools.product([f"{world}/", *STARTS], [parts, parts[::-1]]):
        text = start + "/".join(order)
        for resolve in (roots.reading, roots.writing):
            try:
                found = resolve(text)
            except AceError:
                continue
            assert Path(os.path.realpath(found)).is_relative_to(world)
            assert resolve != roots.reading or found.read_bytes() in (b"music", b"take")


def test_reading_reaches_the_home_and_volumes_by_default_and_writing_only_the_library(tmp_path):
    """Defaults: a musician's own files, and no other place to write than the library."""
    wish = Settings(home=str(tmp_path / "home"))
    roots = AllowedRoots.of(wish, Paths.of(wish))
    assert set(map(Path, map(os.path.realpath, default_read_roots()))) <= set(roots.read)
    assert roots.write == (tmp_path / "home" / "library",)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_home_and_runtime_belong_to_the_user_alone(tmp_path):
    """Nobody else may enter the folders with the socket, the token and the jobs."""
    paths = Paths.of(Settings(home=str(tmp_path / "home")))
    paths.create()
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (paths.home, paths.runtime)} == {0o700}


def test_the_socket_path_fits_the_kernel_however_deep_the_home(tmp_path):
    """A long home moves the sockets; what hosts read stays where they look for it."""
    paths = Paths.of(Settings(home=str(tmp_path / ("deep" * 30))))
    assert len(os.fsencode(paths.json_socket)) <= 100
    assert paths.connection == paths.home / "runtime" / "connection.json"


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    """A file in its place: one sentence with the path."""
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OutputUnwritable, match="home"):
        Paths.of(Settings(home=str(tmp_path / "home"))).create()


def test_files_of_fixed_names_go_into_a_folder_of_their_own(tmp_path):
    """A new one, an empty one, or one of an earlier run; never among other files."""
    make_report_folder(tmp_path / "new" / "deep", "report.json")
    make_report_folder(tmp_path / "new" / "deep", "report.json")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "times.md").write_text("mine")
    with pytest.raises(OutputUnwritable, match="other files"):
        make_report_folder(tmp_path / "mine", "report.json")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["times.md"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputUnwritable):
        make_report_folder(tmp_path / "file", "report.json")
