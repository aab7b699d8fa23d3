"""Spectrograms for the documentation: one held-out song, before and after."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from acestep.api.instructions import instruction
from acestep.networks.spectra import FRAME, magnitudes
from acestep.training.dit.tasks import CROP
from acestep.training.evaluation.trained_model import RenderItem, TrainedModel
from acestep.training.evaluation.trials import KINDS, HeldOut, extracted

matplotlib.use("Agg")
from matplotlib import pyplot


def draw(panels: dict[str, Tensor], path: Path, columns: int, region: tuple[int, int] | None = None) -> None:
    """Log spectrograms up to 3 kHz of sounds [2, N], by title; `region` marks samples with two lines."""
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.4 * columns, 2.2 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, sound) in zip(axes.flat, panels.items(), strict=False):
        spectrum = magnitudes(sound[..., : sound.shape[-1] // 960 * 960].mean(0), 4096, 960)[:, :256] / 64
        axis.imshow(torch.log10(spectrum + 1e-4).T.numpy(), aspect="auto", origin="lower", vmin=-3, vmax=0.8)
        axis.set_title(title, fontsize=8)
        for sample in region or ():
            axis.axvline(sample / 960, color="white", linewidth=0.8)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def draw_tasks(trained: TrainedModel, item: HeldOut, folder: Path) -> None:
    """`codec.png`, `extract.png`, `lego.png`, `generate.png`, `repaint.png` of one song."""
    whole = trained.encode(item.mix)
    draw({"song": item.mix, "through the codec": trained.decode(whole)}, folder / "codec.png", 2)
    stems = {"mix": item.mix}
    for track, stem in extracted(trained, item):
        stems |= {f"{track}, true": item.stems[track], f"{track}, extracted": stem}
    draw(stems, folder / "extract.png", 3)
    track = next((name for name in item.stems if name not in KINDS), next(iter(item.stems)))  # a harmonic one
    stem = item.stems[track]
    rest = item.mix - stem
    new = trained.decode(
        trained.render(RenderItem(trained.encode(rest), item.prompt(instruction("lego", track)), task="lego"))
    )
    draw({f"the song without its {track}": rest, f"new {track}": new, "together": rest + new,
          f"its own {track}": stem}, folder / "lego.png", 4)  # fmt: skip
    guide = item.guide(chords=True)
    made = trained.decode(trained.render(RenderItem(trained.encode(guide), item.prompt(instruction("cover")))))
    draw({"guide": guide, "generated": made, "the prompt's own song": item.mix}, folder / "generate.png", 3)
    mask = torch.zeros(CROP)
    mask[90:166] = 1.0
    source = torch.where(mask[:, None] > 0, trained.encode(item.guide(chords=False)), whole)
    painted = trained.decode(trained.render(RenderItem(source, item.prompt(instruction("repaint")), mask)))
    region = (90 * FRAME, 166 * FRAME)
    spliced = item.mix.clone()
    spliced[:, slice(*region)] = painted[:, slice(*region)]
    draw({"before": item.mix, "repainted": spliced}, folder / "repaint.png", 2, region)
