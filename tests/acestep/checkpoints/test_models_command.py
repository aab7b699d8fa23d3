"""`acestep-bridge models`: fetch, check and remove a model from the command line, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acestep.checkpoints.info import read_info
from acestep.checkpoints.installed import fingerprint
from bridge.cli import main
from bridge.cli.exits import Exit

TURBO = "acestep-v15-turbo"


@pytest.fixture
def cli(tmp_path, capsys):
    """``cli("list")``: exit code, what was printed, and what was said beside it, in a home of its own."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["models", *arguments, "--home", str(tmp_path / "home")])
        return code, *capsys.readouterr()

    run.checkpoints = tmp_path / "home" / "checkpoints"
    return run


def present(cli) -> set[str]:
    """The models that are listed as here."""
    _, out, _ = cli("list", "--json")
    return {row["name"] for row in json.loads(out) if row["present"]}


def test_a_model_comes_is_verified_and_goes(cli, hub):
    """Each action says what it did, progress goes to standard error, and the list follows."""
    code, out, err = cli("download", "turbo")
    assert (code, out) == (Exit.OK, "") and "turbo is here" in err and str(cli.checkpoints / TURBO) in err
    assert "%" in err
    assert "turbo" in present(cli)
    code, out, _ = cli("verify", "turbo")
    assert code == Exit.OK and "turbo is whole; fingerprint " in out
    code, out, err = cli("remove", "turbo", "--yes")
    assert (code, out) == (Exit.OK, "") and f"removed {cli.checkpoints / TURBO}" in err
    assert "turbo" not in present(cli)
    assert [path.name for path in cli.checkpoints.iterdir() if not path.name.startswith(".")] == []


def test_scripts_get_json(cli, hub):
    """Path and size of what came, the digest of what is whole, the folders of what went; nothing else is printed."""
    code, out, err = cli("download", "turbo", "--json")
    made = json.loads(out)
    assert (code, err) == (Exit.OK, "")
    assert Path(made["path"]) == cli.checkpoints / TURBO and made["size_bytes"] > 0
    whole = json.loads(cli("verify", "turbo", "--json")[1])
    assert whole == {
        "model": "turbo",
        "problems": [],
        "remarks": [],
        "digest": fingerprint(read_info(Path(made["path"]))),
    }
    removed = json.loads(cli("remove", "turbo", "--yes", "--json")[1])["removed"]
    assert {Path(folder).name for folder in removed} == {TURBO, "vae", "Qwen3-Embedding-0.6B"}


def test_verify_fails_for_a_changed_file(cli, hub):
    """The exit code says so, and the file is named."""
    cli("download", "turbo", "--quiet")
    weights = cli.checkpoints / TURBO / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, out, _ = cli("verify", "turbo")
    assert code == Exit.FAILED and str(weights) in out


def test_nothing_is_removed_unasked(cli, hub):
    """Without a terminal to ask on, `--yes` has to be said."""
    cli("download", "turbo", "--quiet")
    code, _, err = cli("remove", "turbo")
    assert code == Exit.REFUSED and "--yes" in err
    assert "turbo" in present(cli)
