"""Every network gives the numbers that the original gave."""

from __future__ import annotations

import pytest
import torch

from acestep.api.plan import Fill, Plan
from acestep.conditioning.context import ContextInputs, bottleneck, build_context, silence
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.noise import SeededNoise, draw
from acestep.networks.dit import Probe
from plugins.guidance import GUIDANCE

METHODS = {spec.name: spec for spec in GUIDANCE}


def compare(found: torch.Tensor, expected: torch.Tensor, tolerance: dict[str, float]) -> None:
    if expected.dtype in (torch.int64, torch.bool):
        assert torch.equal(found.long(), expected.long())
    else:
        torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.golden_cases("dit", "dit_attention")
def test_velocity(golden, tolerance, name):
    """The DiT's velocity, and its cross-attention probabilities where asked for, equal the recorded ones."""
    case, inputs, model = golden.case(name)
    expected = golden.outputs(name)
    rows = slice(case["item"], case["item"] + 1) if "item" in case else slice(None)
    x, context, states = (inputs[key][rows] for key in ("x", "context", "encoder"))
    probe = Probe(frozenset(case.get("layers", ())))
    condition = model.transformer.condition(states)
    velocity = model.transformer.velocity(
        x, torch.tensor(case["t"]), context, [condition], r=torch.tensor(case["r"]), probe=probe
    )[0]
    compare(velocity, expected["v"], tolerance["module"])
    if "probs" in expected:
        compare(torch.stack([probe.weights[layer] for layer in case["layers"]]), expected["probs"], tolerance["module"])


@pytest.mark.golden_cases("condition")
def test_condition(golden, tolerance, name):
    """Lyric, timbre and text tokens and their packing equal the recorded ones, padding included."""
    case, inputs, model = golden.case(name)
    expected = golden.outputs(name)
    encoder = model.condition_encoder
    timbre = inputs["timbre"][:, : case.get("timbre_frames")]
    order = inputs.get("timbre_order", torch.zeros(timbre.shape[0], dtype=torch.long))
    masks = [
        inputs.get(f"{key}_mask", torch.ones(inputs[key].shape[:2], dtype=torch.long)) for key in ("text", "lyric")
    ]
    with torch.inference_mode():
        hidden, mask = encoder(inputs["text"], masks[0], inputs["lyric"], masks[1], timbre, order)
        found = {"hidden": hidden, "mask": mask, "lyric": encoder.lyric_encoder(inputs["lyric"], masks[1])}
        found["timbre"], found["timbre_mask"] = encoder.timbre_encoder(timbre, order)
    for key, value in expected.items():
        compare(found[key], value, tolerance["module"])
    if hidden.shape[0] == 1:
        compare(encoder.encode(inputs["text"], inputs["lyric"], timbre), expected["hidden"], tolerance["module"])


@pytest.mark.golden_cases("tokenizer")
def test_tokenizer(golden, tolerance, name):
    """Latents become the recorded codes exactly, and come back as the recorded latents."""
    _, inputs, model = golden.case(name)
    expected = golden.outputs(name)
    seen = {}
    handle = model.audio_tokenizer.attention_pooler.register_forward_hook(lambda *call: seen.update(pooled=call[-1]))
    quantised, indices = model.audio_tokenizer.quantise(inputs["latents"], inputs["silence"])
    handle.remove()
    seen |= {"quantised": quantised, "indices": indices, "detokenised": model.audio_detokenizer.expand(quantised)}
    for key, value in expected.items():
        compare(seen[key], value, tolerance["module"])
    frames = inputs["latents"].shape[1]
    compare(bottleneck(model, inputs["latents"]), expected["detokenised"][:, :frames], tolerance["module"])


@pytest.mark.golden_cases("codes")
def test_codes(golden, tolerance, name):
    """Given codes become the recorded states and latents."""
    _, inputs, model = golden.case(name)
    expected = golden.outputs(name)
    quantised = model.audio_tokenizer.from_codes(inputs["indices"].squeeze(-1))
    compare(quantised, expected["quantised"], tolerance["module"])
    compare(model.audio_detokenizer.expand(quantised), expected["detokenised"], tolerance["module"])


@pytest.mark.golden_cases("context")
def test_context(golden, tolerance, name):
    """The plan's fill rules give the recorded context: the source itself, the bottleneck, or the hint."""
    case, inputs, model = golden.case(name)
    hints = inputs.get("hints")
    built = []
    for item, covers in enumerate(case["is_cover"]):
        rule = Fill.SOURCE if not covers else Fill.BOTTLENECK if hints is None else Fill.HINT
        source = inputs["src"][item : item + 1]
        frames = source.shape[1]
        material = ContextInputs(frames, (0, frames), source, hints)
        built.append(build_context(model, Plan(task="cover", instruction="", fill=rule), material))
    compare(torch.cat(built), golden.outputs(name)["context"], tolerance["module"])


@pytest.mark.golden_cases("noise")
def test_noise(golden, name):
    """A seed gives the original's noise bit for bit: one stream per item, of which a longer clip takes more (so that one stream
    cut in two is the original's batch under a single seed)."""
    case, _, _ = golden.case(name)
    expected = golden.outputs(name)["noise"]
    items, frames, _ = expected.shape
    seed = case["seed"]
    found = (
        SeededNoise(seed, frames).initial() if isinstance(seed, list) else draw(seed, items * frames).view_as(expected)
    )
    assert torch.equal(found, expected)


@pytest.mark.golden_cases("guidance")
def test_guidance(golden, tolerance, name):
    """One update of each guidance method equals the recorded one, momentum included."""
    case, inputs, _ = golden.case(name)
    x, cond, uncond, t = inputs["x"], inputs["v_c"], inputs["v_u"], case["t"][0]
    expected = golden.outputs(name)
    apg = guidance_settings(METHODS["apg"], case["guidance"]).make()
    compare(apg.combine(cond, uncond, x, t, False), expected.pop("apg_1"), tolerance["module"])
    compare(apg.combine(uncond, cond, x, t, False), expected.pop("apg_2"), tolerance["module"])
    for key, value in expected.items():
        scale = case["guidance_low" if key.endswith("_low") else "guidance"]
        method = guidance_settings(METHODS[key.removesuffix("_low")], scale).make()
        compare(method.combine(cond, uncond, x, t, False), value, tolerance["module"])


def test_silence_repeats(golden):
    """Beyond its end the silence latent starts over, and a slice keeps its frame indices."""
    latent = golden.models["std"].silence
    length = latent.shape[1]
    assert torch.equal(silence(latent, 10, length - 4), torch.cat([latent[:, -4:], latent[:, :6]], dim=1))
