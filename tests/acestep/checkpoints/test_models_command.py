"""`acestep-bridge models`: fetch, check and remove a model from the command line, without a daemon."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import foreign_files as foreign
import pytest
import torch
from safetensors.torch import save_file

from acestep.checkpoints.info import read_info
from acestep.checkpoints.installed import fingerprint
from acestep.checkpoints.layout import SILENCE
from acestep.checkpoints.tiny import build_tiny
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
    assert (code, out) == (Exit.OK, "") and "turbo is installed" in err and str(cli.checkpoints / TURBO) in err
    assert "%" in err
    assert "turbo" in present(cli)
    code, out, _ = cli("verify", "turbo")
    assert code == Exit.OK and "turbo is complete; fingerprint " in out
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


def test_a_single_file_is_a_model_like_any_other(cli, tmp_path):
    """ComfyUI's file with borrowed companions: listed, described, checked, verified and removed as a file."""
    config = {"model_version": "turbo", "is_turbo": True, "trained": True}
    dit = build_tiny(tmp_path / "b", config=config, name=TURBO, codec="AutoencoderOobleck")
    cli.checkpoints.mkdir(parents=True)
    file = foreign.all_in_one(dit, cli.checkpoints / "my_turbo.safetensors")
    code, out, err = cli("list")
    assert "Not usable:" in err and "models download companions" in err and "my_turbo" not in out
    (cli.checkpoints / "Qwen3-Embedding-0.6B").mkdir()
    shutil.copy(dit.parent / "Qwen3-Embedding-0.6B" / "tokenizer.json", cli.checkpoints / "Qwen3-Embedding-0.6B")
    shutil.copy(dit / SILENCE, cli.checkpoints)
    assert "my_turbo" in present(cli)
    facts = json.loads(cli("info", "my_turbo", "--json")[1])
    assert facts["origin"] == "ComfyUI" and facts["variant"] == "turbo" and facts["memory_bytes"]["float32"] > 0
    assert cli("check", "my_turbo")[0] == Exit.OK
    code, out, _ = cli("verify", "my_turbo")
    assert code == Exit.OK and "my_turbo is complete" in out
    assert cli("remove", "my_turbo", "--yes")[0] == Exit.OK and not file.exists()


def test_the_list_names_what_cannot_be_used(cli):
    """With its reason, beside the table; the table is the same without it."""
    cli.checkpoints.mkdir(parents=True)
    table = cli("list")[1]
    (cli.checkpoints / "old.ckpt").write_bytes(b"pickle")
    save_file({"speaker_embedder.weight": torch.zeros(2)}, cli.checkpoints / "v1.safetensors")
    code, out, err = cli("list")
    assert (code, out) == (Exit.OK, table)
    assert "old.ckpt is a pickle" in err and "ACE-Step v1" in err
