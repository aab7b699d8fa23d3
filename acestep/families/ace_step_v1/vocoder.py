"""The vocoder: log-mel to sound, a ConvNeXt encoder and a HiFi-GAN generator, one channel at a time.

The published file stores its convolutions weight-normalised; `fuse_weight_norm` multiplies them out once, at load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class VocoderSizes:
    """The published config's entries that shape the network; the defaults are those of the released model."""

    input_channels: int = 128
    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (128, 256, 384, 512)
    num_mels: int = 512
    upsample_initial_channel: int = 1024
    upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (8, 8, 4, 4, 4, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11, 13)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = field(default=((1, 3, 5),) * 4)
    pre_conv_kernel_size: int = 13
    post_conv_kernel_size: int = 13


REACH = 80
"""Frames to either side that a sample of the released model's sound can depend on, rounded up: 3 for the first convolution and for
each of 18 blocks, 6 before the generator, and under 10 in it."""


def fuse_weight_norm(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Named tensors with each pair of ``weight_g`` (lengths) and ``weight_v`` (directions) as one ``weight``, in float32."""
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors:
        path, _, leaf = name.rpartition(".")
        if leaf not in ("weight_g", "weight_v"):
            yield name, tensor
            continue
        pair = halves.setdefault(path, {})
        pair[leaf] = tensor.float()
        if len(pair) == 2:
            del halves[path]
            length, direction = pair["weight_g"], pair["weight_v"]
            norm = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.ndim - 1))
            yield f"{path}.weight", length.reshape(norm.shape) * direction / norm
    for path, pair in halves.items():
        yield from ((f"{path}.{leaf}", tensor) for leaf, tensor in pair.items())  # half a pair: let the loader name it


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [B, C, T]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class ConvNextBlock(nn.Module):
    """Depthwise convolution, norm, and two layers over the channels; added to its input with a learned gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.dwconv(x).transpose(1, 2))
        return x + (self.gamma * self.pwconv2(functional.gelu(self.pwconv1(inner)))).transpose(1, 2)


class Backbone(nn.Module):
    """Log-mel [B, 128, M] -> features [B, C, M]."""

    def __init__(self, sizes: VocoderSizes) -> None:
        super().__init__()
        first = nn.Conv1d(sizes.input_channels, sizes.dims[0], 7, padding=3, padding_mode="replicate")
        layers: list[nn.Module] = [nn.Sequential(first, ChannelNorm(sizes.dims[0]))]
        for before, after in zip(sizes.dims, sizes.dims[1:], strict=False):
            layers.append(nn.Sequential(ChannelNorm(before), nn.Conv1d(before, after, 1)))
        self.channel_layers = nn.ModuleList(layers)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNextBlock(width) for _ in range(depth)))
            for width, depth in zip(sizes.dims, sizes.depths, strict=True)
        )
        self.norm = ChannelNorm(sizes.dims[-1])

    def forward(self, x: Tensor) -> Tensor:
        for layer, stage in zip(self.channel_layers, self.stages, strict=True):
            x = stage(layer(x))
        return self.norm(x)


def same_length(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the number of frames."""
    return nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same_length(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same_length(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(functional.silu(first(functional.silu(x))))
        return x


class Generator(nn.Module):
    """Features [B, C, M] -> sound [B, 1, 512 M] within -1 to 1."""

    def __init__(self, sizes: VocoderSizes) -> None:
        super().__init__()
        widths = [sizes.upsample_initial_channel >> stage for stage in range(len(sizes.upsample_rates) + 1)]
        self.conv_pre = same_length(sizes.num_mels, widths[0], sizes.pre_conv_kernel_size)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(widths[stage], widths[stage + 1], kernel, rate, padding=(kernel - rate) // 2)
            for stage, (rate, kernel) in enumerate(zip(sizes.upsample_rates, sizes.upsample_kernel_sizes, strict=True))
        )
        kinds = list(zip(sizes.resblock_kernel_sizes, sizes.resblock_dilation_sizes, strict=True))
        self.resblocks = nn.ModuleList(ResidualBlock(width, *kind) for width in widths[1:] for kind in kinds)
        self.conv_post = same_length(widths[-1], 1, sizes.post_conv_kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_pre(x)
        count = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(functional.silu(x))
            blocks = self.resblocks[stage * count : (stage + 1) * count]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / count
        return self.conv_post(functional.silu(x)).tanh()


class Vocoder(nn.Module):
    """Log-mel [B, 128, M] -> sound [B, 1, 512 M] at 44.1 kHz."""

    def __init__(self, sizes: VocoderSizes) -> None:
        super().__init__()
        self.backbone = Backbone(sizes)
        self.head = Generator(sizes)

    def forward(self, mel: Tensor) -> Tensor:
        return self.head(self.backbone(mel))


def stored_shapes(vocoder: Vocoder) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a published file holds for a vocoder, weight norm in its two halves."""
    found: dict[str, tuple[int, ...]] = {}
    for path, module in vocoder.named_modules():
        normed = path.startswith("head.") and isinstance(module, (nn.Conv1d, nn.ConvTranspose1d))
        for leaf, tensor in module.named_parameters(recurse=False):
            shape = tuple(tensor.shape)
            if normed and leaf == "weight":
                found[f"{path}.weight_g"], found[f"{path}.weight_v"] = (shape[0], 1, 1), shape
            else:
                found[f"{path}.{leaf}"] = shape
    return found
