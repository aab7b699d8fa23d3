"""What a model costs is told and checked before it is spent; pins, conversions and the hub's cache do what they say."""

from __future__ import annotations

import errno
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.api import disk
from acestep.api.errors import BadRequest, DiskFull, DownloadFailed
from acestep.checkpoints import convert, fetching, published
from acestep.checkpoints.catalogue import cost_of, packages
from acestep.checkpoints.catalogue import published as published_names
from acestep.checkpoints.convert import round_to_bfloat16, to_bfloat16
from acestep.checkpoints.download import DownloadOptions, download
from acestep.checkpoints.info import find_checkpoints
from acestep.checkpoints.installed import MANIFEST, remarks, verify
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.published import KnownFile
from acestep.checkpoints.tiny import XL_SIZES, build_tiny
from bridge.cli import main
from bridge.cli.exits import Exit

XL, TURBO = "acestep-v15-xl-turbo", "acestep-v15-turbo"
HALF = DownloadOptions(store="bfloat16", source="huggingface")


@pytest.fixture(scope="session")
def lists(hub_files, tmp_path_factory) -> dict[str, Path]:
    """Stand-ins of the main bundle, of XL turbo and of a planner, with exactly the published file lists."""
    root = tmp_path_factory.mktemp("published")
    turbo = build_tiny(root / "made", config={"model_version": "turbo", "is_turbo": True}, name=TURBO).parent
    sizes = {**XL_SIZES, "model_version": "turbo", "is_turbo": True}
    xl = build_tiny(root / "made", config=sizes, name=XL)
    hub_files.shard(xl)
    real = {part: turbo / part for part in (TURBO, "vae", "Qwen3-Embedding-0.6B")} | {"": turbo / TURBO}
    return {
        "ACE-Step/Ace-Step1.5": hub_files.stand_in(root, "ACE-Step/Ace-Step1.5", real),
        f"ACE-Step/{XL}": hub_files.stand_in(root, f"ACE-Step/{XL}", {"": xl}),
        "ACE-Step/acestep-5Hz-lm-0.6B": hub_files.stand_in(root, "ACE-Step/acestep-5Hz-lm-0.6B", {}),
    }


@pytest.fixture
def real_lists(hub, lists):
    """The hub with those repositories."""
    hub.repositories.clear()
    hub.repositories.update(lists)
    return hub


def asked(hub) -> set[str]:
    return {name for name, _ in hub.asked}


def test_exactly_the_needed_files_of_the_published_lists(real_lists, hub_files, tmp_path):
    """Of the main bundle's list: one DiT, codec, text encoder; no remote code, no pages, no copy of the config at the root."""
    download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    own = {f"{TURBO}/{name}" for name in hub_files.DIT}
    shared = {"vae/config.json", "vae/diffusion_pytorch_model.safetensors"}
    words = {f"Qwen3-Embedding-0.6B/{name}" for name in ("config.json", "model.safetensors", *hub_files.TOKENIZER)}
    assert asked(real_lists) == own | shared | words
    real_lists.asked.clear()
    download("xl-turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    assert asked(real_lists) == set(hub_files.XL)
    real_lists.asked.clear()
    with pytest.raises(Exception):  # noqa: B017 - filler weights are not a model; what counts is what was fetched
        download("lm-0.6B", tmp_path, options=DownloadOptions(source="huggingface"))
    assert asked(real_lists) == set(hub_files.PLANNER)


def test_published_sizes():
    """The sums that people are told: the first pack, a further model, XL at both sizes, the planners."""
    nowhere = Path("/nowhere")
    told = {name: cost_of(name, nowhere) for name in published_names()}
    assert round(told["turbo"].fetch / 1e9, 2) == 6.34
    assert round(packages("xl-turbo")[0].size / 1e9, 2) == 19.95
    assert round((told["xl-turbo"].fetch - told["turbo"].fetch + packages("turbo")[0].size) / 1e9, 2) == 19.95
    assert round((told["xl-base"].disk - told["xl-base"].disk_bfloat16) / 1e9, 2) == 9.97
    assert [round(told[f"lm-{size}"].fetch / 1e9, 1) for size in ("0.6B", "1.7B", "4B")] == [1.4, 3.8, 8.4]
    assert all(cost.fetch > 0 for cost in told.values())
    assert [round(told[name].memory_float32 / 1e9, 1) for name in ("turbo", "xl-turbo")] == [12.6, 23.0]
    assert round(told["lm-1.7B"].memory_bfloat16 / 1e9, 1) == 3.7


def test_the_list_shows_bytes_to_fetch(tmp_path, capsys):
    """Before anything is downloaded, per model, in words and as JSON."""
    assert main(["models", "list", "--home", str(tmp_path)]) == Exit.OK
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "6.3 GB to download" in lines["turbo"] and "21.5 GB to download" in lines["xl-turbo"]
    main(["models", "list", "--json", "--home", str(tmp_path)])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["xl-turbo"]["disk_bytes_bfloat16"] < rows["xl-turbo"]["disk_bytes"] == rows["xl-turbo"]["fetch_bytes"]
    assert rows["lm-1.7B"]["license"].startswith("MIT") and rows["turbo"]["license"] == "MIT"


def test_a_download_says_what_it_costs(real_lists, tmp_path, capsys):
    """Size, room and the smaller way to store it, before the first byte."""
    assert main(["models", "download", "xl-turbo", "--home", str(tmp_path)]) == Exit.OK
    err = capsys.readouterr().err
    assert "21.5 GB to fetch" in err and "free" in err and "--store bfloat16" in err
    assert "in memory 11.5 GB as bfloat16, 23.0 GB as float32" in err


def test_all_models_are_one_download(real_lists, tmp_path, capsys, monkeypatch):
    """Their whole size is told and agreed to first, a disk that is too small is refused, each is fetched in its turn, and one that
    cannot be reached keeps no other back."""
    monkeypatch.setattr(
        "acestep.checkpoints.catalogue.published", lambda families: ["turbo", "turbo-shift1", "xl-turbo"]
    )
    room = [2**30]
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(total=2**50, used=0, free=room[0]))
    command = ["models", "download", "all", "--home", str(tmp_path)]
    assert main([*command, "--yes"]) != Exit.OK and "that does not fit" in capsys.readouterr().err
    room[0] = 2**45
    assert main(command) != Exit.OK and "needs --yes" in capsys.readouterr().err
    assert main([*command, "--yes"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert all(f"{name} is installed" in told for name in ("turbo", "xl-turbo"))
    assert "not downloaded: turbo-shift1; the same command tries again" in told


def test_rounding_is_torchs():
    """Every bit pattern's neighbourhood: random bits, ties, infinities, NaN, denormals."""
    generator = np.random.default_rng(0)
    bits = np.concatenate([
        generator.integers(0, 2**32, 200_000, dtype=np.uint32),
        (np.arange(2**16, dtype=np.uint32) << 16) + 0x8000,
        np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x80000001, 0x7F7FFFFF, 0], np.uint32),
    ])  # fmt: skip
    numbers = bits.view(np.float32)
    wanted = torch.from_numpy(numbers.copy()).to(torch.bfloat16)
    found = torch.from_numpy(round_to_bfloat16(numbers).astype(np.int16)).view(torch.bfloat16)
    same = (found == wanted) | (found.isnan() & wanted.isnan())
    assert same.all()


def test_a_converted_file_is_what_torch_would_write(tmp_path, monkeypatch):
    """Names, shapes, metadata, other types: only float32 changes, whatever the block size."""
    monkeypatch.setattr(convert, "BLOCK", 7)
    tensors = {"a": torch.randn(5, 9), "b": torch.randn(3).half(), "c": torch.arange(6), "d": torch.randn(())}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    size, digest = to_bfloat16(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    found = load_file(tmp_path / "b.safetensors")
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "a": torch.bfloat16, "b": torch.float16, "c": torch.int64, "d": torch.bfloat16}  # fmt: skip
    assert all(torch.equal(found[name], tensor.to(found[name].dtype)) for name, tensor in tensors.items())
    assert size == (tmp_path / "b.safetensors").stat().st_size and len(digest) == 64


def test_xl_arrives_as_bfloat16(real_lists, lists, tmp_path):
    """Shard by shard; the manifest has both sums, `verify` checks what lies here and says that it is a conversion; it opens."""
    info = download("xl-turbo", tmp_path, options=HALF)
    folder, source = tmp_path / XL, lists[f"ACE-Step/{XL}"]
    entries = json.loads((folder / MANIFEST).read_text())["files"]
    for path in source.glob("*.safetensors"):
        entry, here = entries[path.name], folder / path.name
        assert entry["source"] == {"size": path.stat().st_size, "sha256": fetching.sha256(path), "dtype": "float32"}
        assert (entry["size"], entry["sha256"]) == (here.stat().st_size, fetching.sha256(here))
        assert entry["size"] < 0.6 * path.stat().st_size
        found = load_file(here)
        assert all(torch.equal(found[name], tensor.bfloat16()) for name, tensor in load_file(path).items())
    assert verify(info) == []
    assert len(remarks(info)) == 4 and all("conversion to bfloat16" in line for line in remarks(info))
    assert open_checkpoint(info.path, dtype=torch.bfloat16).info.xl
    damaged = folder / "model-00001-of-00004.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x55")
    assert len(verify(info)) == 1


def test_a_conversion_is_not_fetched_twice(real_lists, tmp_path):
    """Broken off after the second shard: those that are done are left, also by a later download that wishes no conversion."""
    real_lists.breaks["model-00003-of-00004.safetensors"] = 10**6
    with pytest.raises(DownloadFailed):
        download("xl-turbo", tmp_path, options=HALF)
    assert find_checkpoints([tmp_path]) == []
    real_lists.breaks.clear()
    real_lists.asked.clear()
    download("xl-turbo", tmp_path, options=HALF)
    assert not asked(real_lists) & {"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors"}
    real_lists.asked.clear()
    assert verify(download("xl-turbo", tmp_path, options=DownloadOptions(source="huggingface"))) == []
    assert asked(real_lists) == set()


def test_a_disk_that_fills_up_while_converting_leaves_nothing_half(real_lists, tmp_path, monkeypatch):
    """One clear error; no draft and no half shard remain, what has arrived is used by the next run."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(convert.os, "fsync", full)
    with pytest.raises(DiskFull, match="converted"):
        download("xl-turbo", tmp_path, options=HALF)
    left = [path.name for path in (tmp_path / XL).iterdir()]
    assert not [name for name in left if "converting" in name or name in ("model-00001-of-00004.safetensors",)]
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", real_lists.url)
    real_lists.asked.clear()
    assert verify(download("xl-turbo", tmp_path, options=HALF)) == []
    assert ("model-00001-of-00004.safetensors", "bytes=0-") not in real_lists.asked


def free_bytes(monkeypatch, free: int) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**13, 10**13 - free, free))


def test_the_disk_is_checked_for_what_is_really_needed(real_lists, lists, tmp_path, monkeypatch):
    """Too little for float32 is refused with the figures and the way out; bfloat16 fits; what has arrived counts as paid."""
    monkeypatch.setattr(fetching, "SPARE", 0)
    download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    sizes = {path.name: path.stat().st_size for path in lists[f"ACE-Step/{XL}"].iterdir()}
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    free = int(sizes["silence_latent.pt"] + 0.9 * weights)
    real_lists.asked.clear()
    free_bytes(monkeypatch, free)
    with pytest.raises(DiskFull, match=r"are free in .*--store bfloat16") as failure:
        download("xl-turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    assert not real_lists.asked and failure.value.limits["free_bytes"] == free
    assert verify(download("xl-turbo", tmp_path, options=HALF)) == []


def test_a_resumed_download_needs_room_for_the_rest_only(real_lists, tmp_path, monkeypatch):
    """A nearly full disk holds most of the model already."""
    monkeypatch.setattr(fetching, "SPARE", 0)
    weights = f"{TURBO}/model.safetensors"
    real_lists.breaks[weights] = 10**6
    with pytest.raises(DownloadFailed):
        download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    real_lists.breaks.clear()
    waiting = next((tmp_path / TURBO).glob(".model.safetensors.*.part")).stat().st_size
    missing = sum(path.stat().st_size for part in (TURBO, "vae", "Qwen3-Embedding-0.6B")
                  for path in (real_lists.repositories["ACE-Step/Ace-Step1.5"] / part).iterdir())  # fmt: skip
    free_bytes(monkeypatch, missing - waiting)
    assert verify(download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))) == []


PIN = published.REVISIONS[f"ACE-Step/{XL}"]


def test_a_pin_is_kept(real_lists, tmp_path):
    """The manifest names the commit; the same pin again asks nobody; an unknown revision and an unknown pin are refused."""
    real_lists.revisions[f"ACE-Step/{XL}"] = PIN
    options = DownloadOptions(revision=PIN)
    download("xl-turbo", tmp_path, options=options)
    assert json.loads((tmp_path / XL / MANIFEST).read_text())["revision"] == PIN
    real_lists.sent = 0
    assert download("xl-turbo", tmp_path, options=options).name == "xl-turbo"
    assert real_lists.sent == 0


def test_wrong_pins(real_lists, tmp_path):
    """Named with the field; nothing is fetched, and no other place is asked for a commit it cannot know."""
    with pytest.raises(DownloadFailed, match="no revision 'v9'") as failure:
        download("turbo", tmp_path, options=DownloadOptions(revision="v9"))
    assert failure.value.field == "revision" and not real_lists.asked
    with pytest.raises(BadRequest) as unknown:
        download("base", tmp_path, options=DownloadOptions(revision="known"))
    assert f"ACE-Step/{XL}" in unknown.value.limits["choices"]


def test_another_commit_replaces_what_changed(real_lists, lists, tmp_path):
    """Small files without a published sum come again with another commit; large ones of the same sum stay."""
    download("turbo", tmp_path)
    real_lists.revisions["ACE-Step/Ace-Step1.5"] = "f" * 40
    real_lists.asked.clear()
    download("turbo", tmp_path)
    assert f"{TURBO}/config.json" in asked(real_lists)
    assert not [name for name in asked(real_lists) if name.endswith(".safetensors")]
    assert json.loads((tmp_path / TURBO / MANIFEST).read_text())["revision"] == "f" * 40


def test_a_hub_that_contradicts_the_known_sum_is_not_believed(real_lists, tmp_path):
    """At a revision whose sums are known, other bytes are refused before they are fetched."""
    real_lists.revisions.update(published.REVISIONS)
    with pytest.raises(DownloadFailed, match="differs from the known one"):
        download("turbo", tmp_path, options=DownloadOptions(revision="known"))
    assert not real_lists.asked


def cache_of(lists, home: Path, *, links: bool) -> Path:
    """The hub's cache as its own client fills it: with links into blobs, or (Windows) with the files themselves."""
    for repository, folder in lists.items():
        place = home / "hub" / f"models--{repository.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("a" * 40)
        for path in folder.rglob("*"):
            if not path.is_file():
                continue
            target = place / "snapshots" / ("a" * 40) / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if links:
                blob = place / "blobs" / fetching.sha256(path)
                blob.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, blob)
                target.symlink_to(blob)
            else:
                shutil.copyfile(path, target)
    return home


@pytest.mark.parametrize("links", [True, False])
def test_offline_the_hubs_cache_is_enough(real_lists, lists, tmp_path, monkeypatch, links):
    """HF_HOME and HF_HUB_OFFLINE: the model comes out of the cache, converted if wished, and the network is not touched."""
    monkeypatch.setenv("HF_HOME", str(cache_of(lists, tmp_path / "hf", links=links)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    info = download("xl-turbo", tmp_path / "models", options=DownloadOptions(store="bfloat16", revision="a" * 40))
    assert verify(info) == [] and len(remarks(info)) == 4
    assert open_checkpoint(info.path, dtype=torch.bfloat16).info.name == "xl-turbo"
    assert real_lists.sent == 0
    assert not [path for path in (tmp_path / "models").rglob("*") if path.is_symlink()]


def test_what_the_cache_holds_is_not_fetched(real_lists, lists, tmp_path, monkeypatch):
    """Online too: a file of the same commit is taken from the cache; a link that leads out of it is not followed."""
    home = cache_of(lists, tmp_path / "hf", links=True)
    real_lists.revisions.update(dict.fromkeys(lists, "a" * 40))
    monkeypatch.setenv("HF_HOME", str(home))
    outside = tmp_path / "outside.safetensors"
    place = home / "hub" / "models--ACE-Step--Ace-Step1.5" / "snapshots" / ("a" * 40) / "vae"
    weights = place / "diffusion_pytorch_model.safetensors"
    shutil.copyfile(weights, outside)
    weights.unlink()
    weights.symlink_to(outside)
    assert verify(download("turbo", tmp_path / "models", options=DownloadOptions(source="huggingface"))) == []
    assert asked(real_lists) == {"vae/diffusion_pytorch_model.safetensors"}


def test_offline_without_anything_is_one_clear_error(real_lists, tmp_path, monkeypatch):
    """It names the variable and what is missing; with everything here it is no error."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match=r"HF_HUB_OFFLINE.*Ace-Step1.5"):
        download("turbo", tmp_path)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    download("turbo", tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download("turbo", tmp_path).name == "turbo"


def test_files_put_here_by_hand_are_held_against_the_known_sums(bundle, monkeypatch):
    """Without a manifest: same name and length, other sum: named. Another length is another revision and says nothing."""
    from acestep.checkpoints.info import read_info

    weights = bundle / "model.safetensors"
    monkeypatch.setitem(published.FILES, bundle.name, {weights.name: KnownFile(weights.stat().st_size, "0" * 64)})
    info = read_info(bundle)
    assert any("damaged or was changed" in line for line in verify(info))
    known = KnownFile(weights.stat().st_size, fetching.sha256(weights))
    monkeypatch.setitem(published.FILES, bundle.name, {weights.name: known})
    assert verify(info) == []
    assert math.isfinite(info.size_bytes)
