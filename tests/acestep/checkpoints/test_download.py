"""Models are fetched from a real HTTP server by the real hub client: only what is needed, resumed, verified."""

from __future__ import annotations

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from acestep.api import Registry
from acestep.api.errors import BadRequest, Cancelled, DiskFull, DownloadFailed, ModelMissing, UnknownName
from acestep.checkpoints import fetching as module
from acestep.checkpoints.catalogue import packages, published
from acestep.checkpoints.download import DownloadOptions, download
from acestep.checkpoints.info import checkpoint_problems, find_checkpoints, read_info
from acestep.checkpoints.installed import find_model, model_facts, remove, verify
from acestep.checkpoints.layout import TEXT_ENCODER
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.published import MAIN_BUNDLE
from acestep.families.ace_step_v1 import family
from acestep.families.ace_step_v1.published import PublishedFile
from acestep.families.ace_step_v1.tiny import build_tiny as build_tiny_v1

TURBO, BASE = "acestep-v15-turbo", "acestep-v15-base"


def weights_size(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def test_download_opens(hub, tmp_path):
    """What was downloaded is a complete checkpoint in the published layout that opens, and lists under its short name."""
    info = download("turbo", tmp_path / "models")
    assert (info.name, info.variant) == ("turbo", "turbo")
    assert open_checkpoint(info.path).info == info
    assert [found.name for found in find_checkpoints([tmp_path / "models"])] == ["turbo"]
    assert verify(info) == []


def test_only_what_is_needed(hub, tmp_path):
    """No language model, no Python files, no pickles: they are not even asked for."""
    download("turbo", tmp_path)
    names = {Path(name) for name, _ in hub.asked}
    assert not [name for name in names if name.suffix in (".py", ".bin") or "5Hz-lm" in str(name)]
    assert {name.parts[0] for name in names} == {TURBO, "vae", "Qwen3-Embedding-0.6B"}


def test_second_model_shares_the_parts(hub, tmp_path):
    """A further model fetches its own repository only; codec and text encoder are there already."""
    download("turbo", tmp_path)
    hub.asked.clear()
    info = download("base", tmp_path)
    assert info.variant == "base"
    assert {name for name, _ in hub.asked} == {"config.json", "model.safetensors", "silence_latent.pt"}


def test_broken_connection_is_resumed(hub, tmp_path):
    """A connection that breaks in the middle goes on where it stopped: the missing half is asked for by its range."""
    hub.breaks[f"{TURBO}/model.safetensors"] = 1
    info = download("turbo", tmp_path)
    assert verify(info) == []
    ranges = [wanted for name, wanted in hub.asked if name == f"{TURBO}/model.safetensors"]
    assert ranges[0] == "bytes=0-" and len(ranges) == 2
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) > 0
    assert hub.sent <= weights_size(tmp_path) + module.BLOCK


def test_interrupted_download_goes_on_in_another_run(hub, tmp_path):
    """Cancelled half-way, nothing looks like a model; run again, only the rest is fetched."""

    def stop(file, done, total):
        if "model.safetensors" in file and TURBO in file and done > 0.05 * total:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        download("turbo", tmp_path, stop)
    assert find_checkpoints([tmp_path]) == []
    hub.asked.clear()
    info = download("turbo", tmp_path)
    assert verify(info) == []
    first = next(wanted for name, wanted in hub.asked if name == f"{TURBO}/model.safetensors")
    assert int(first.removeprefix("bytes=").removesuffix("-")) > 0


def test_progress_counts_bytes(hub, tmp_path):
    """Progress never falls, and ends at the total, which is the size of the files; breaking off in between changes nothing."""
    seen = []
    hub.breaks["vae/diffusion_pytorch_model.safetensors"] = 1
    download("turbo", tmp_path, lambda file, done, total: seen.append((done, total)))
    counts = [done for done, _ in seen]
    assert counts == sorted(counts) and seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1
    manifest_sizes = [json.loads(path.read_text())["files"].values() for path in tmp_path.glob("*/acestep-bridge.json")]
    assert seen[-1][1] == sum(facts["size"] for files in manifest_sizes for facts in files)


def test_damaged_file_is_discarded(hub, tmp_path):
    """Bytes that do not have the published sum are not kept, and the error says what to do."""
    hub.spoilt.add(f"{TURBO}/model.safetensors")
    with pytest.raises(DownloadFailed, match="damaged"):
        download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    assert not (tmp_path / TURBO / "model.safetensors").exists()
    hub.spoilt.clear()
    assert verify(download("turbo", tmp_path)) == []


def test_hopeless_connection_is_one_clear_error(hub, tmp_path):
    """When every try breaks off, the error says that the download can be continued."""
    hub.breaks[f"{TURBO}/model.safetensors"] = 10**6
    with pytest.raises(DownloadFailed, match="again to resume it"):
        download("turbo", tmp_path, options=DownloadOptions(source="huggingface"))
    assert find_checkpoints([tmp_path]) == []


def test_no_hub_is_one_clear_error(monkeypatch, tmp_path):
    """A hub that cannot be reached is a retryable failure that names both sources."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match=r"cannot be reached.*ModelScope"):
        download("turbo", tmp_path)


def test_missing_repository(hub, tmp_path):
    """A repository the hub does not know is not asked for again and again."""
    hub.repositories.pop(f"ACE-Step/{BASE}")
    with pytest.raises(DownloadFailed, match="does not exist"):
        download("base", tmp_path, options=DownloadOptions(source="huggingface"))


def test_full_disk_is_found_before_the_first_byte(hub, tmp_path, monkeypatch):
    """Nothing is fetched that cannot be kept."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(DiskFull):
        download("turbo", tmp_path)
    assert not hub.asked


def test_unknown_names_and_sources(tmp_path, monkeypatch):
    """A model nobody published, and a source nobody knows, are refused with the choices."""
    with pytest.raises(UnknownName) as failure:
        download("gpt", tmp_path)
    assert failure.value.limits == {"choices": published()}
    monkeypatch.setenv("ACESTEP_DOWNLOAD_SOURCE", "torrent")
    with pytest.raises(BadRequest):
        download("turbo", tmp_path)


def test_every_published_variant_has_its_packages():
    """Each name of the table leads to its repository, and to the two shared parts."""
    for name in [name for name in published() if not name.startswith("lm-")]:
        own, *shared = packages(name)
        assert own.target == f"acestep-v15-{name}" and [part.target for part in shared] == [
            "vae",
            "Qwen3-Embedding-0.6B",
        ]


def test_modelscope_is_the_fallback(modelscope, tmp_path):
    """Without the hub the other source gives the same files, nothing that is not needed, and never sees the hub's token."""
    info = download("turbo", tmp_path)
    assert open_checkpoint(info.path).info.variant == "turbo"
    assert verify(info) == [] and {Path(name).suffix for name, _ in modelscope.asked}.isdisjoint({".py", ".bin"})
    assert not [value for value in modelscope.tokens if "secret" in value]


def test_modelscope_counts_bytes_and_leaves_a_manifest(modelscope, tmp_path):
    """Progress ends at the size of the files, each of which has its sum in the manifest."""
    seen = []
    download(
        "turbo",
        tmp_path,
        lambda file, done, total: seen.append((done, total)),
        options=DownloadOptions(source="modelscope"),
    )
    counts = [done for done, _ in seen]
    assert counts == sorted(counts) and seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("*/acestep-bridge.json")]
    files = [facts for manifest in manifests for facts in manifest["files"].values()]
    assert seen[-1][1] == sum(facts["size"] for facts in files) and all(facts["sha256"] for facts in files)
    assert {manifest["revision"] for manifest in manifests} == {"master"}


def test_modelscope_can_be_cancelled_and_goes_on(modelscope, tmp_path):
    """A cancel within a file leaves no model; the next run asks for the rest alone."""

    def stop(file, done, total):
        if TURBO in file and done > 0.05 * total:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        download("turbo", tmp_path, stop, options=DownloadOptions(source="modelscope"))
    assert find_checkpoints([tmp_path]) == []
    modelscope.asked.clear()
    assert verify(download("turbo", tmp_path, options=DownloadOptions(source="modelscope"))) == []
    assert int(modelscope.asked[0][1].removeprefix("bytes=").removesuffix("-")) > 0


def test_modelscope_goes_on_with_what_the_hub_began(hub, monkeypatch, tmp_path):
    """The part file is that of the content, whoever sends it."""
    weights = f"{TURBO}/model.safetensors"
    hub.breaks[weights] = module.ATTEMPTS
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    info = download("turbo", tmp_path)
    assert (
        verify(info) == [] and json.loads((Path(info.path) / "acestep-bridge.json").read_text())["revision"] == "master"
    )
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for name, wanted in hub.asked if name == weights]
    assert len(starts) == module.ATTEMPTS + 1 and starts == sorted(starts) and starts[-1] > 0


def test_a_damaged_file_of_modelscope_is_discarded(modelscope, tmp_path):
    """Its sums are looked at as the hub's are."""
    modelscope.spoilt.add(f"{TURBO}/model.safetensors")
    with pytest.raises(DownloadFailed, match="damaged"):
        download("turbo", tmp_path, options=DownloadOptions(source="modelscope"))
    assert not (tmp_path / TURBO / "model.safetensors").exists()


def test_a_repository_that_modelscope_lacks(modelscope, tmp_path):
    """One sentence that names it; it is asked for once."""
    modelscope.repositories.pop(f"ACE-Step/{BASE}")
    with pytest.raises(DownloadFailed, match=rf"ModelScope does not list ACE-Step/{BASE}"):
        download("base", tmp_path, options=DownloadOptions(source="modelscope"))


def test_verify_names_what_changed(hub, tmp_path):
    """A changed, shortened or missing file is named."""
    info = download("turbo", tmp_path)
    weights = tmp_path / TURBO / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (tmp_path / "vae" / "config.json").unlink()
    problems = verify(info)
    assert (
        len(problems) == 2 and any("damaged" in line for line in problems) and any("vae" in line for line in problems)
    )


def test_remove_takes_the_shared_parts_last(hub, tmp_path):
    """Removing a model leaves what another still uses; the last one takes everything with it. Nothing outside is ever removed."""
    turbo, base = (download(name, tmp_path) for name in ("turbo", "base"))
    remove(turbo, tmp_path)
    assert [info.name for info in find_checkpoints([tmp_path])] == ["base"]
    with pytest.raises(ModelMissing):
        remove(base, tmp_path / "elsewhere")
    remove(base, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith((".", "hf"))] == []


@pytest.fixture
def borrower(repositories, tmp_path):
    """A bundle with one DiT, and beside it a DiT that takes codec and text encoder from there."""
    shutil.copytree(repositories[MAIN_BUNDLE], tmp_path / "bundle")
    shutil.copytree(repositories["ACE-Step/acestep-v15-base"], tmp_path / BASE)
    return read_info(tmp_path / BASE)


def test_remove_leaves_what_a_model_beside_the_bundle_borrows(borrower, tmp_path):
    """Without its own DiT the bundle's codec and text encoder stay while another needs them, and go with that one."""
    assert remove(find_model("turbo", [tmp_path]), tmp_path) == [tmp_path / "bundle" / TURBO]
    assert open_checkpoint(borrower.path).info == borrower
    gone = remove(borrower, tmp_path)
    assert sorted(path.name for path in gone) == [TEXT_ENCODER, BASE, "vae"]
    assert find_checkpoints([tmp_path]) == []


def test_remove_of_a_borrower_leaves_the_bundle(borrower, tmp_path):
    """The bundle's own DiT still uses what was borrowed."""
    assert remove(borrower, tmp_path) == [tmp_path / BASE]
    assert open_checkpoint(find_model("turbo", [tmp_path]).path).info.name == "turbo"


def test_a_language_model_is_fetched_alone(hub, tmp_path):
    """Its own folder out of the main bundle, without codec, text encoder and DiT; found, verified and removed by its short name."""
    info = download("lm-1.7B", tmp_path)
    assert {Path(name).parts[0] for name, _ in hub.asked} == {"acestep-5Hz-lm-1.7B"}
    assert find_model("lm-1.7B", [tmp_path]) == find_model("acestep-5Hz-lm-1.7B", [tmp_path]) == info
    assert model_facts(info)["name"] == "lm-1.7B" and info.size_bytes > 0
    assert verify(info) == []
    assert remove(info, tmp_path) == [tmp_path / "acestep-5Hz-lm-1.7B"]
    with pytest.raises(ModelMissing):
        find_model("lm-1.7B", [tmp_path])


def test_removing_a_language_model_leaves_codec_and_text_encoder(hub, tmp_path):
    """They belong to the checkpoints, also when there is only one of those."""
    download("turbo", tmp_path)
    remove(download("lm-1.7B", tmp_path), tmp_path)
    assert verify(download("turbo", tmp_path)) == []
    assert (tmp_path / "vae").is_dir()


def test_two_downloads_into_one_folder_take_turns(hub, tmp_path):
    """They share files, which two writers at once would spoil; the second waits, can be stopped, and then fetches its own only."""
    weights = f"{TURBO}/model.safetensors"
    hub.held[weights] = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(download, "turbo", tmp_path)
        while weights not in [name for name, _ in hub.asked]:
            time.sleep(0.01)

        def stop(file, done, total):
            assert "waiting" in file
            raise Cancelled("stop")

        with pytest.raises(Cancelled):
            download("base", tmp_path, stop)
        hub.held[weights].set()
        download("base", tmp_path)
        assert first.result().name == "turbo"
    shared = [name for name, _ in hub.asked if name.startswith(("vae/", "Qwen3"))]
    assert len(shared) == len(set(shared))


def test_what_comfyuis_files_lack_comes_by_one_command(hub, tmp_path):
    """Silence latent and tokenizers, and no weights with them."""
    lent = download("companions", tmp_path)
    names = {path.relative_to(tmp_path / "companions").as_posix() for path in (tmp_path / "companions").rglob("*.*")
             if path.is_file() and path.name != "acestep-bridge.json"}  # fmt: skip
    assert {
        "silence_latent.pt",
        f"{TEXT_ENCODER}/tokenizer.json",
        "acestep-5Hz-lm-tokenizer/chat_template.jinja",
    } <= names
    assert not [name for name in names if name.endswith((".safetensors", "config.json")) and "tokenizer_" not in name]
    assert lent.path == str(tmp_path / "companions") and lent.size_bytes > 3_000_000
    assert find_checkpoints([tmp_path]) == [] and checkpoint_problems([tmp_path]) == {}


def test_the_shared_parts_come_alone(hub, tmp_path):
    """For somebody who has a model's own repository only."""
    download("shared", tmp_path)
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith((".", "hf"))} == {"vae", TEXT_ENCODER}


def test_a_model_of_another_family_comes_with_the_file_that_is_on_no_hub(hub, tmp_path, monkeypatch):
    """v1: four folders of the hub, and the lyric vocabulary from elsewhere, by its sum and without the hub's token."""
    root = build_tiny_v1(tmp_path / "published")
    own = root / "umt5-base"
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (own / name).write_text("{}")
    vocabulary = root / family.VOCABULARY
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    vocabulary.rename(elsewhere / vocabulary.name)
    hub.repositories |= {family.REPOSITORY: root, "somebody/else": elsewhere}
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-hub")
    facts = PublishedFile(
        (elsewhere / vocabulary.name).stat().st_size, sha256((elsewhere / vocabulary.name).read_bytes()).hexdigest()
    )
    monkeypatch.setattr(family, "VOCABULARY_FILE", facts)
    monkeypatch.setattr(family, "VOCABULARY_URL", f"{hub.url}/somebody/else/resolve/main/{vocabulary.name}")
    families = Registry.load().families
    models = tmp_path / "models"
    info = download("v1", models, options=DownloadOptions(families=families, source="huggingface"))
    assert (info.name, info.family, info.lacks, info.license) == ("v1", "ace-step-v1", (), "Apache-2.0")
    assert verify(info) == []
    assert not any("secret" in token for token in hub.tokens[-1:]), "another server never sees the hub's token"
    sent = hub.sent
    download("v1", models, options=DownloadOptions(families=families, source="huggingface"))
    assert hub.sent - sent < 100_000, "what is here is not fetched again"
    assert find_model("v1", [models], families).path == info.path
    assert remove(find_model("v1", [models], families), models) == [models / "ACE-Step-v1-3.5B"]
