"""Every kind of adapter file people have opens at its right strength: compared with PEFT, LyCORIS and the plain formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from acestep.api.errors import BadCheckpoint, ModelUnsuited
from acestep.checkpoints.adapter_file import fit, read_adapter_file
from acestep.checkpoints.adapter_names import find_layer, spellings
from acestep.checkpoints.adapters import known_adapters
from acestep.checkpoints.layers import layer_shapes
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.lora import load_adapter, model_layers, unload_adapter
from acestep.checkpoints.tiny import build_tiny

RANK, ALPHA = 4, 12.0
"""alpha / r is 3, so a forgotten strength shows."""

KEYS = "layers.1.cross_attn.k_proj"
LAYER = "transformer/layers.1.cross_attn.to_k"
ROWS, COLUMNS = 32, 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_checkpoint(build_tiny(tmp_path_factory.mktemp("kinds")))


@pytest.fixture(autouse=True)
def clean(model):
    yield
    for adapter in list(model.adapters):
        unload_adapter(model, adapter.name)


def weight(model: Model, layer: str = LAYER) -> Tensor:
    component, _, path = layer.partition("/")
    return model.networks()[component].get_submodule(path).weight.data


def factors(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Down [r, in] and up [out, r]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(RANK, columns, generator=generator), torch.randn(rows, RANK, generator=generator)


def peft_keys(prefix: str = "base_model.model.", name: str = "") -> dict[str, Tensor]:
    down, up = factors()
    middle = f".{name}" if name else ""
    return {f"{prefix}{KEYS}.lora_A{middle}.weight": down, f"{prefix}{KEYS}.lora_B{middle}.weight": up}


def kohya_keys(path: str, alpha: float | None = ALPHA) -> dict[str, Tensor]:
    down, up = factors()
    found = {f"{path}.lora_down.weight": down, f"{path}.lora_up.weight": up}
    return found if alpha is None else {**found, f"{path}.alpha": torch.tensor(alpha)}


PEFT = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}
PLAIN = "layers_1_cross_attn_k_proj"
DIFFUSERS = {"transformer.r": RANK, "transformer.lora_alpha": ALPHA, "transformer.target_modules": ["to_k"]}


def diffusers_keys() -> dict[str, Tensor]:
    down, up = factors()
    return {
        "transformer.layers.1.cross_attn.to_k.lora_A.weight": down,
        "transformer.layers.1.cross_attn.to_k.lora_B.weight": up,
    }


def write(
    folder: Path, tensors: dict[str, Tensor], name: str, *, config: dict[str, Any] | None = None, header: Any = None
) -> Path:
    """An adapter file, its config beside it and its header's entries."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {key: json.dumps(value) for key, value in (header or {}).items()}
    save_file(tensors, folder / name, metadata={"format": "pt", **metadata})
    if config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder / name


MODEL_FILE, FLAT = "adapter_model.safetensors", "voice.safetensors"

CARRIERS = [
    pytest.param(peft_keys(), MODEL_FILE, PEFT, None, "config", id="PEFT's folder"),
    pytest.param(peft_keys(name="default"), MODEL_FILE, PEFT, None, "config", id="lora_A.default"),
    pytest.param(peft_keys(name="my_voice"), MODEL_FILE, PEFT, None, "config", id="lora_A.my_voice"),
    pytest.param(peft_keys("base_model.model.decoder."), MODEL_FILE, PEFT, None, "config", id="decoder prefix"),
    pytest.param(peft_keys("decoder._orig_mod."), MODEL_FILE, PEFT, None, "config", id="compiled while trained"),
    pytest.param(peft_keys(), MODEL_FILE, {"r": RANK, "alpha": ALPHA}, None, "config", id="config with alpha"),
    pytest.param(peft_keys(), FLAT, PEFT, None, "config", id="config beside another name"),
    pytest.param(diffusers_keys(), "pytorch_lora_weights.safetensors", None, {"lora_adapter_metadata": DIFFUSERS},
                 "header", id="diffusers' header"),
    pytest.param(kohya_keys(f"diffusion_model.{KEYS}"), FLAT, None, None, "file", id="ComfyUI's alpha"),
    pytest.param(kohya_keys(f"diffusion_model.decoder.{KEYS}"), FLAT, None, None, "file", id="ComfyUI, decoder"),
    pytest.param(kohya_keys(f"model.diffusion_model.{KEYS}"), FLAT, None, None, "file", id="ComfyUI, whole prefix"),
    pytest.param(kohya_keys(f"lora_unet_decoder_{PLAIN}"), FLAT, None, None, "file", id="kohya"),
    pytest.param(kohya_keys(f"lora_unet_{PLAIN}"), FLAT, None, None, "file", id="kohya without decoder"),
    pytest.param(kohya_keys(f"lycoris_{PLAIN}"), FLAT, None, None, "file", id="LyCORIS' LoRA"),
    pytest.param(peft_keys("base_model.model.model.decoder."), MODEL_FILE, PEFT, None, "config", id="whole model wrapped"),
    pytest.param(kohya_keys(f"lora_unet_{PLAIN}", None), FLAT, None, {"ss_network_alpha": ALPHA}, "header", id="kohya's header"),
    pytest.param(kohya_keys(f"lycoris_decoder_{PLAIN}"), FLAT, None, None, "file", id="LyCORIS on the whole model"),
]  # fmt: skip
"""Tensors, file name, config, header: one and the same adapter in the forms of many tools, and where its alpha stands."""


@pytest.mark.parametrize("named", ["folder", "file"])
@pytest.mark.parametrize(("tensors", "name", "config", "header", "origin"), CARRIERS)
def test_the_strength_is_right_in_every_carrier(model, tmp_path, named, tensors, name, config, header, origin):
    """Folder or the file inside it: the weight moves by alpha / r * B A, wherever alpha is written."""
    before = weight(model).clone()
    file = write(tmp_path / "voice", tensors, name, config=config, header=header)
    adapter = load_adapter(model, file if named == "file" else file.parent, scale=0.5)
    down, up = factors()
    torch.testing.assert_close(weight(model), before + 0.5 * ALPHA / RANK * up @ down, atol=1e-4, rtol=1e-5)
    facts = adapter.facts
    assert (facts["kind"], facts["rank"], facts["scaling"], facts["alpha_from"]) == ("LoRA", 4, 3.0, origin)
    assert facts["matched"] == facts["tensors"] == len(tensors) and facts["unmatched"] == []


@pytest.mark.parametrize(
    ("alpha", "config", "expected"),
    [
        pytest.param(None, None, 1.0, id="no alpha anywhere: alpha is the rank"),
        pytest.param(0.0, None, 1.0, id="kohya writes 0 for the rank"),
        pytest.param(6.0, PEFT, 1.5, id="the file's own alpha stands above a config's"),
        pytest.param(None, {**PEFT, "use_rslora": True}, ALPHA / math.sqrt(RANK), id="rank-stabilised"),
        pytest.param(None, {**PEFT, "alpha_pattern": {"k_proj": 2}}, 0.5, id="pattern"),
    ],
)
def test_which_alpha_counts(model, tmp_path, alpha, config, expected):
    """The order of the places that may say it."""
    before = weight(model).clone()
    load_adapter(model, write(tmp_path, kohya_keys(KEYS, alpha), MODEL_FILE, config=config))
    down, up = factors()
    torch.testing.assert_close(weight(model), before + expected * up @ down, atol=1e-4, rtol=1e-5)


def lycoris(kind: str, base: Tensor, **settings: Any) -> tuple[dict[str, Tensor], Tensor]:
    """State of LyCORIS' own module on a layer with this weight, and the weight it computes with.

    (Its ``get_merged_weight`` multiplies by alpha / rank twice in 4.1.3; what training and generation run is ``forward``.)
    """
    modules = pytest.importorskip(f"lycoris.modules.{kind.lower()}")
    layer = nn.Linear(base.shape[1], base.shape[0], bias=False)
    layer.weight.data.copy_(base)
    torch.manual_seed(1)
    made = getattr(modules, f"{kind}Module")("lycoris", layer, **settings)
    for name, parameter in made.named_parameters():
        if "org" not in name:
            nn.init.normal_(parameter, std=0.5)
    made.apply_to()
    with torch.no_grad():
        merged = made.eval()(torch.eye(base.shape[1])).T
    return {name: tensor.detach().clone().contiguous() for name, tensor in made.state_dict().items()}, merged


LYCORIS = [
    pytest.param("Lokr", {"lora_dim": 2, "alpha": 8, "factor": 4}, "LoKr", 2, 4.0, id="LoKr"),
    pytest.param("Lokr", {"lora_dim": 2, "alpha": 8, "factor": 16, "decompose_both": True}, "LoKr", 2, 4.0, id="both"),
    pytest.param("Lokr", {"lora_dim": 9999, "alpha": 8, "factor": 4}, "LoKr", 0, 1.0, id="two whole factors"),
    pytest.param("Lokr", {"lora_dim": 2, "alpha": 8, "factor": -1, "weight_decompose": True}, "LoKr with DoRA", 2, 4.0,
                 id="as upstream trains it"),
    pytest.param("Lokr", {"lora_dim": 2, "alpha": 8, "weight_decompose": True, "wd_on_out": False}, "LoKr with DoRA", 2,
                 4.0, id="DoRA on inputs"),
    pytest.param("Lokr", {"lora_dim": 4, "alpha": 8, "factor": 4, "rs_lora": True}, "LoKr", 4, 4.0, id="rank-stabilised"),
    pytest.param("Loha", {"lora_dim": 2, "alpha": 8}, "LoHa", 2, 4.0, id="LoHa"),
    pytest.param("LoCon", {"lora_dim": 2, "alpha": 8}, "LoRA", 2, 4.0, id="LoRA"),
    pytest.param("LoCon", {"lora_dim": 2, "alpha": 8, "weight_decompose": True}, "DoRA", 2, 4.0, id="DoRA"),
    pytest.param("LoCon", {"lora_dim": 2, "alpha": 8, "use_scalar": True}, "LoRA", 2, 4.0, id="with a scalar"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "settings", "kind", "rank", "scaling"), LYCORIS)
def test_lycoris_agrees(model, tmp_path, module, settings, kind, rank, scaling):
    """What LyCORIS itself merges from the same tensors, in the file that its trainers write."""
    before = weight(model).clone()
    state, merged = lycoris(module, before, **settings)
    tensors = {f"lycoris_{PLAIN}.{name}": tensor for name, tensor in state.items()}
    adapter = load_adapter(model, write(tmp_path / "qinglong", tensors, "lokr_weights.safetensors").parent)
    assert not torch.allclose(weight(model), before, atol=1e-2)
    torch.testing.assert_close(weight(model), merged, atol=2e-4, rtol=1e-4)
    facts = adapter.facts
    assert (facts["kind"], facts["rank"]) == (kind, rank) and facts["scaling"] == pytest.approx(scaling)
    unload_adapter(model, adapter.name)
    assert torch.equal(weight(model), before)


def test_lokr_is_the_kronecker_product(model, tmp_path):
    """alpha / rank * kron(w1, w2a w2b), its alpha in the header where no tensor says it."""
    before, generator = weight(model).clone(), torch.Generator().manual_seed(4)
    one, a, b = (torch.randn(*shape, generator=generator) for shape in ((4, 4), (8, 2), (2, 16)))
    tensors = {f"lycoris_{PLAIN}.{name}": part for name, part in (("lokr_w1", one), ("lokr_w2_a", a), ("lokr_w2_b", b))}
    header = {"lokr_config": {"linear_dim": 2, "linear_alpha": 6, "factor": 4}}
    load_adapter(model, write(tmp_path, tensors, "lokr_weights.safetensors", header=header))
    two = a @ b
    expected = 3.0 * torch.cat([torch.cat([one[i, j] * two for j in range(4)], 1) for i in range(4)], 0)
    torch.testing.assert_close(weight(model), before + expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("factory", "settings"),
    [
        ("LoraConfig", {"lora_alpha": ALPHA, "use_dora": True}),
        ("LoraConfig", {"lora_alpha": ALPHA, "use_rslora": True}),
        ("LoKrConfig", {"alpha": ALPHA}),
        ("LoKrConfig", {"alpha": ALPHA, "r": 9999}),
        ("LoHaConfig", {"alpha": ALPHA}),
    ],
)
def test_peft_agrees(model, tmp_path, factory, settings):
    """PEFT writes the folder and merges; ours is the same weight."""
    peft = pytest.importorskip("peft")
    plain = nn.Module()
    plain.layers = nn.ModuleList(nn.Module() for _ in range(2))
    plain.layers[1].cross_attn = nn.Module()
    layer = plain.layers[1].cross_attn.k_proj = nn.Linear(COLUMNS, ROWS, bias=False)
    layer.weight.data.copy_(weight(model))
    config = getattr(peft, factory)(**{"r": RANK, "target_modules": ["k_proj"], **settings})
    wrapped = peft.get_peft_model(plain, config)
    torch.manual_seed(2)
    for name, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3) if "magnitude" not in name else parameter.data.uniform_(0.5, 2.0)
    wrapped.save_pretrained(tmp_path / "voice")
    load_adapter(model, tmp_path / "voice")
    merged = wrapped.merge_and_unload().layers[1].cross_attn.k_proj.weight.data

    torch.testing.assert_close(weight(model), merged, atol=2e-4, rtol=1e-4)


def test_an_adapters_scale_blends_a_dora_in(model, tmp_path):
    """At half scale the weight lies half-way between the checkpoint's and the DoRA's."""
    before = weight(model).clone()
    down, up = factors()
    length = torch.linspace(0.5, 2.0, ROWS)
    tensors = {**peft_keys(), f"base_model.model.{KEYS}.lora_magnitude_vector": length}
    load_adapter(model, write(tmp_path, tensors, MODEL_FILE, config={**PEFT, "use_dora": True}), name="a", scale=0.5)
    moved = before + 3.0 * up @ down
    full = moved * (length / moved.norm(dim=1)).unsqueeze(1)
    torch.testing.assert_close(weight(model), (before + full) / 2, atol=1e-4, rtol=1e-4)


ENCODER = "lyric_encoder.layers.0.self_attn.k_proj"


@pytest.mark.parametrize(
    "path",
    [
        f"diffusion_model.encoder.{ENCODER}",
        f"base_model.model.encoder.{ENCODER}",
        f"condition_encoder.{ENCODER.replace('k_proj', 'to_k')}",
        f"lora_unet_encoder_{ENCODER.replace('.', '_')}",
        ENCODER,
    ],
)
def test_the_condition_encoder_can_be_changed_too(model, tmp_path, path):
    """Its layers have adapters as the DiT's have."""
    layer = "condition_encoder/lyric_encoder.layers.0.self_attn.to_k"
    before = weight(model, layer).clone()
    load_adapter(model, write(tmp_path, kohya_keys(path), FLAT))
    down, up = factors()
    torch.testing.assert_close(weight(model, layer), before + 3.0 * up @ down, atol=1e-4, rtol=1e-5)


def test_words_are_encoded_again_after_the_encoder_changed(model, tmp_path):
    """A cached condition belongs to the weights that made it."""
    from acestep.conditioning.condition_cache import ConditionCache, ConditionRequest, encode_condition
    from acestep.conditioning.prompts import Prompt

    cache, request = ConditionCache(), ConditionRequest(Prompt(caption="a caption", lyrics="la"))
    bare = cache.encode(model, request)
    load_adapter(model, write(tmp_path, kohya_keys(f"encoder.{ENCODER}"), FLAT), name="a")
    changed = cache.encode(model, request)
    assert torch.equal(changed, encode_condition(model, request)) and not torch.equal(changed, bare)
    unload_adapter(model, "a")
    assert torch.equal(cache.encode(model, request), bare)


def test_a_convolution_takes_a_lora(model, tmp_path):
    """LoRA on the DiT's patch layer, whose weight has a kernel."""
    layer = "transformer/proj_in_conv"
    before = weight(model, layer).clone()
    down, up = torch.randn(RANK, *before.shape[1:]), torch.randn(before.shape[0], RANK, 1)
    tensors = {"base_model.model.proj_in.1.lora_A.weight": down, "base_model.model.proj_in.1.lora_B.weight": up}
    load_adapter(model, write(tmp_path, tensors, MODEL_FILE, config=PEFT))
    expected = before + 3.0 * torch.einsum("or,rik->oik", up[:, :, 0], down)
    torch.testing.assert_close(weight(model, layer), expected, atol=1e-4, rtol=1e-4)


def test_what_finds_no_place_is_counted_and_named(model, tmp_path):
    """Tensors beside a good adapter are left out, and the adapter says how many."""
    tensors = {**peft_keys(), "base_model.model.layers.77.mlp.up_proj.lora_A.weight": torch.ones(RANK, 64),
               "base_model.model.layers.77.mlp.up_proj.lora_B.weight": torch.ones(128, RANK),
               "base_model.model.proj_out.1.bias": torch.ones(64)}  # fmt: skip
    facts = load_adapter(model, write(tmp_path, tensors, MODEL_FILE, config=PEFT)).facts
    assert (facts["matched"], facts["tensors"]) == (2, 5)
    assert sorted(facts["unmatched"]) == sorted(set(tensors) - set(peft_keys()))


def lora(path: str, rows: int = ROWS, columns: int = COLUMNS) -> dict[str, Tensor]:
    return {f"{path}.lora_down.weight": torch.ones(RANK, columns), f"{path}.lora_up.weight": torch.ones(rows, RANK)}


REFUSALS = [
    pytest.param(lora("base_model.model.model.layers.0.self_attn.k_proj"), PEFT, BadCheckpoint, "language model", id="planner"),
    pytest.param({**peft_keys(), f"{KEYS}.lora_mid.weight": torch.ones(RANK, RANK)}, PEFT, BadCheckpoint, "Tucker", id="Tucker"),
    pytest.param({**peft_keys(), f"base_model.model.{KEYS}.lora_magnitude_vector": torch.ones(7)}, PEFT, BadCheckpoint,
                 "lengths", id="lengths of another layer"),
    pytest.param({**kohya_keys(KEYS), f"{KEYS}.scalar": torch.ones(3)}, None, BadCheckpoint, "lengths", id="three scalars"),
    pytest.param({f"{KEYS}.oft_R.weight": torch.ones(2, 2)}, None, BadCheckpoint, "OFT", id="OFT"),
    pytest.param({f"{KEYS}.oft_blocks": torch.ones(2, 2, 2)}, None, BadCheckpoint, "OFT", id="OFT of kohya"),
    pytest.param({f"{KEYS}.ia3_l": torch.ones(2, 2)}, None, BadCheckpoint, "IA3", id="IA3"),
    pytest.param({"decoder.layers.0.mlp.up_proj.weight": torch.ones(2, 2)}, None, BadCheckpoint, "no adapter",
                 id="a checkpoint"),
    pytest.param(lora("lora_te1_text_model_encoder_layers_0_mlp_fc1"), None, BadCheckpoint, "text encoder", id="text"),
    pytest.param(lora("lora_unet_down_blocks_0_attentions_1_proj_in"), None, BadCheckpoint, "another model",
                 id="another family"),
    pytest.param(lora(KEYS, columns=96), None, ModelUnsuited, "of another size", id="another width"),
    pytest.param(lora(f"lora_unet_decoder_{PLAIN}", columns=96), None, ModelUnsuited, "of another size", id="width, kohya"),
    pytest.param({f"{KEYS}.lora_A.weight": torch.ones(RANK, 64)}, PEFT, BadCheckpoint, "fit together", id="half"),
    pytest.param({**peft_keys(name="a"), **peft_keys(name="b")}, PEFT, BadCheckpoint, "several adapters", id="two"),
    pytest.param({**peft_keys(), **kohya_keys(f"lora_unet_{PLAIN}")}, PEFT, BadCheckpoint, "twice", id="doubled"),
    pytest.param(peft_keys(), {**PEFT, "use_dora": True}, BadCheckpoint, "magnitudes", id="a DoRA without its lengths"),
    pytest.param(peft_keys(), {**PEFT, "init_lora_weights": "pissa_niter_16"}, BadCheckpoint, "base weights", id="PiSSA"),
    pytest.param(kohya_keys(KEYS, math.nan), None, BadCheckpoint, "finite", id="alpha NaN"),
    pytest.param({name: tensor * math.nan for name, tensor in peft_keys().items()}, PEFT, BadCheckpoint, "finite",
                 id="NaN"),
    pytest.param({f"{KEYS}.alpha": torch.tensor(1.0)}, None, BadCheckpoint, "no adapter", id="alpha alone"),
]  # fmt: skip


@pytest.mark.parametrize(("tensors", "config", "error", "reason"), REFUSALS)
def test_what_cannot_be_opened_is_refused_for_its_true_reason(model, tmp_path, tensors, config, error, reason):
    """One sentence that says what the file is; the model stays as it was."""
    before = weight(model).clone()
    with pytest.raises(error, match=reason):
        load_adapter(model, write(tmp_path, tensors, MODEL_FILE, config=config))
    assert torch.equal(weight(model), before) and not model.adapters


@pytest.mark.parametrize("place", ["adapter", "final/adapter", "final", "checkpoints/best/adapter"])
def test_a_training_runs_folder_is_an_adapter(model, tmp_path, place):
    """Its last or best adapter is found inside."""
    write(tmp_path / "run" / place, peft_keys(), MODEL_FILE, config=PEFT)
    assert load_adapter(model, tmp_path / "run").facts["scaling"] == 3.0
    assert known_adapters([tmp_path]) == {"run": tmp_path / "run"}


def test_a_flattened_kernel_is_a_kernel(model, tmp_path):
    """LyCORIS writes a convolution's second factor with its kernel in the columns."""
    layer = "transformer/proj_in_conv"
    before, generator = weight(model, layer).clone(), torch.Generator().manual_seed(5)
    one, a, b = (torch.randn(*shape, generator=generator) for shape in ((4, 4), (16, 2), (2, 48 * 2)))
    tensors = {
        f"lycoris_proj_in_1.{name}": part for name, part in (("lokr_w1", one), ("lokr_w2_a", a), ("lokr_w2_b", b))
    }
    load_adapter(model, write(tmp_path, {**tensors, "lycoris_proj_in_1.alpha": torch.tensor(6.0)}, "x.safetensors"))
    two = (a @ b).reshape(16, 48, 2)
    expected = before + 3.0 * torch.einsum("pq,rsk->prqsk", one, two).reshape(before.shape)
    torch.testing.assert_close(weight(model, layer), expected, atol=1e-4, rtol=1e-4)


def test_every_spelling_means_one_layer(model):
    """Underscores for dots lose nothing: no two layers of a model fall together."""
    layers = model_layers(model)
    table = spellings(layers)
    assert set(table.values()) == set(layers)
    for layer in layers:
        component, _, module = layer.partition("/")
        assert find_layer(f"{component}.{module}", table) == layer


def test_the_daemon_sees_what_the_worker_sees(model, tmp_path):
    """Headers of the checkpoint's files name the same layers with the same shapes as the opened model."""
    path = Path(model.info.path)
    assert layer_shapes(path) == model_layers(model)
    file = write(tmp_path, peft_keys(), MODEL_FILE, config=PEFT)
    assert fit(read_adapter_file(file), layer_shapes(path)).facts() == load_adapter(model, file).facts
