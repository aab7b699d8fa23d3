"""The latent store: what is there, what it sounds like, and how it goes away."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import NotFound
from acestep.audio.latent_store import delete_latent, find_latent, list_latents


def test_list_decode_delete(studio):
    """A stored latent is listed with its facts, decodes to the part's own samples, and is gone after a delete."""
    made, folder = studio.run(
        "generate", length=33_333, rate=44_100, caption="violet", returns=["part", "latent"], format="wav32f", steps=1
    )
    name = f"{folder.name}/generate-latent.safetensors"
    (row,) = list_latents(studio.library, "violet", 10)["latents"]
    assert (row["id"], row["model"], row["samples"], row["rate"]) == (name, "tiny", 33_333, 44_100)
    place = studio.library / "decoded"
    result = studio.engine.run("decode", {"latent": name, "format": "wav32f"}, studio.context(place))
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((made, folder), (result, place))]
    assert np.array_equal(*sounds)
    assert any("random" in note for note in result.notes)
    delete_latent(studio.library, name)
    with pytest.raises(NotFound):
        find_latent(studio.library, name)
    assert (folder / made.files[0].name).is_file()


def test_damaged_latents_are_listed_as_such(studio):
    """One bad file does not hide the others."""
    folder = studio.library / "broken"
    folder.mkdir()
    (folder / "x.safetensors").write_bytes(b"nothing")
    rows = list_latents(studio.library, "broken/x", 10)["latents"]
    assert len(rows) == 1 and "no stored latent" in rows[0]["error"]
