"""The stereo width of a sound, band by band, and mid sound played as wide as that.

A small codec tells left from right badly: what it plays is nearly mono. The middle of its sound, (L + R) / 2, stays as it is to
the rounding, so that the mono sum is the model's own; the side, (L - R) / 2, is made new from the middle. In every band of a
sound there are two numbers that say all of its width which a listener can tell without knowing the instruments: how much of the
side goes with the middle (``pan``: a guitar on the left), and how much does not (``spread``: room, chorus, several instruments).
The first is a share of the middle itself; the second a share of the middle turned by a quarter of a cycle, to the left in one
band and to the right in the next. Unlike noise or an echo, that is orthogonal to the middle for every sound, a single held note
as well, so level and correlation come out as they were measured; it rings for a hundredth of a second and needs no chance.

Filters are some 40 ms long a side and stand at fixed times: a stretch that is rendered with as much around it is the same in
any company.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

RATE = 48_000
TAPS = 4096
"""Of a filter: it reaches 2048 samples a side, fewer than are decoded beside what is returned."""

SIZE = 8192
BLOCK = 7 * TAPS
"""Samples that are filtered at once: with the filter a power of two."""

EDGES = tuple(440.0 * 2.0 ** ((step + 0.5) / 12) for step in (-25, -18, -13, -9, *range(-5, 67, 4)))
"""Hz between the bands, a third of an octave where the filters can tell so much apart. They lie between semitones: an edge is
where nothing of the middle is turned."""

BANDS = len(EDGES) + 1
ONE_WAY = 5
"""So many edges, those below 400 Hz, separate bands that are turned the same way: a semitone is too little to turn back in."""

WIDEST = 4.0
"""Power of a band's side that is believed, as a share of its middle: beyond it there is no middle to make a side from."""

SILENT = 1e-9
"""Power of a band's middle, as a share of the strongest band's, below which nothing is known of its width."""

WINDOW = 0.085
"""Seconds of the spectra that a width is measured in."""

STEP = 1.0
"""Seconds between the widths of a sound whose width is followed in time."""

NEW, AROUND, SOURCE = "new part", "surroundings", "source"
"""What a width is taken from."""

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Width:
    """A width by band: the power of the side is ``pan ** 2 + spread ** 2`` of the middle's."""

    pan: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def mono(self) -> bool:
        """Whether both channels are the same."""
        return not any(self.pan) and not any(self.spread)


MONO = Width((0.0,) * BANDS, (0.0,) * BANDS)


def _new_part() -> Width:
    """Nothing below 140 Hz, then more and more up to 9 dB below the middle from 700 Hz on."""
    middles = np.sqrt(np.array([30.0, *EDGES]) * np.array([*EDGES, 20_000.0]))
    rise = np.clip(np.log2(middles / 140.0) / np.log2(700 / 140.0), 0.0, 1.0)
    return Width((0.0,) * BANDS, tuple(np.round(0.355 * rise, 4).tolist()))


NEW_PART = _new_part()
"""Of a part that has no surroundings to be as wide as: a firm bass, an airy top, a correlation between its channels of about
0.8. Deterministic, and mono in the sum."""


def measure(sounds: Sequence[Sound], rate: int) -> Width | None:
    """The width of stereo sounds [2, n] together; None for silence."""
    powers = sum((_powers(sound, rate).sum(1).numpy() for sound in sounds), np.zeros((3, BANDS)))
    return _width(powers) if powers[:2].any() else None


def follow(sound: Sound, rate: int) -> list[Width]:
    """The width of a stereo sound [2, n] around each multiple of `STEP`, from 0 to its end."""
    powers = _powers(sound, rate)
    seconds = torch.arange(powers.shape[1], dtype=torch.float64) * (_window(rate) // 2 / rate)
    nodes = torch.arange(math.ceil(sound.shape[1] / rate / STEP) + 1, dtype=torch.float64) * STEP
    near = (1 - (seconds - nodes[:, None]).abs() / STEP).clamp(min=0)
    return [_width(one) for one in (near @ powers).transpose(0, 1).numpy()]


def _window(rate: int) -> int:
    return 1 << round(math.log2(WINDOW * rate))


def _powers(sound: Sound, rate: int) -> Tensor:
    """float64 [3, frames, BANDS] by half windows: power of the middle, of the side, and what they have in common."""
    size = _window(rate)
    lines = torch.from_numpy(np.stack([sound[0] + sound[1], sound[0] - sound[1]])) / 2
    shares = torch.from_numpy(_bands(np.arange(size // 2 + 1) * rate / size) ** 2).float()
    window, pieces = torch.hann_window(size), []
    line = functional.pad(lines, (size // 2, size + BLOCK - lines.shape[1] % BLOCK))
    for at in range(0, lines.shape[1] + 1, BLOCK):  # a song of an hour has spectra that no memory would hold at once
        frames = line[:, at : at + BLOCK + size // 2].unfold(1, size, size // 2)
        middle, side = torch.fft.rfft(frames * window)
        products = [_power(middle), _power(side), middle.real * side.real + middle.imag * side.imag]
        pieces.append((torch.stack(products) @ shares.T).double())
    return torch.cat(pieces, 1)


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _width(powers: NDArray[np.float64]) -> Width:
    middle, side, common = powers
    heard = middle > SILENT * max(middle.max(), 1e-12)
    safe = np.where(heard, middle, 1.0)
    share = np.where(heard, np.minimum(side / safe, WIDEST), 0.0)
    pan = np.clip(np.where(heard, common / safe, 0.0), -np.sqrt(share), np.sqrt(share))
    spread = np.sqrt(np.maximum(share - pan**2, 0.0))
    return Width(tuple(np.round(pan, 5).tolist()), tuple(np.round(spread, 5).tolist()))


def widen(sound: Sound, widths: Sequence[Width], first: int = 0) -> Sound:
    """Sound [2, n] at 48 kHz with the side of one width, or of widths `STEP` apart; its first sample is sample ``first`` of
    their time, which may be negative. The first and the last width hold on."""
    middle = torch.from_numpy((sound[0] + sound[1]) / 2)
    side = _filtered(middle, widths[0]) if len(widths) == 1 else _followed(middle, widths, first)
    return torch.stack([middle + side, middle - side]).numpy()


@dataclass(frozen=True)
class StageWidth:
    """Widths, and what they were taken from: one for all of the sound, or one for each second of it."""

    origin: str
    widths: tuple[Width, ...]

    def apply(self, sound: Sound) -> Sound:
        """Sound [2, n] at the codec's rate, of this width."""
        return widen(sound, self.widths)

    @property
    def told(self) -> dict[str, Any]:
        """What the recipe says of it. Widths that follow the source are found in it again, so they are not written out."""
        (first, *others) = self.widths
        if others or self.origin == NEW:
            return {"from": self.origin}
        return {"from": self.origin, "pan": list(first.pan), "spread": list(first.spread)}


def told_width(told: Any) -> StageWidth | None:
    """The width that a recipe tells of; None where it tells of none that can be given to another decoding."""
    match told:
        case {"pan": [*pan], "spread": [*spread]} if len(pan) == len(spread) == BANDS:
            return StageWidth(AROUND, (Width(tuple(map(float, pan)), tuple(map(float, spread))),))
        case {"from": str(origin)} if origin == NEW:
            return StageWidth(NEW, (NEW_PART,))
    return None


def _followed(middle: Tensor, widths: Sequence[Width], first: int) -> Tensor:
    """The side whose width goes from each of the widths to the next in a straight line."""
    step, count = round(STEP * RATE), len(middle)
    side = torch.zeros(count)
    for at in range(first // step, -(-(first + count) // step) + 1):
        width = widths[min(max(at, 0), len(widths) - 1)]
        low, high = max(0, (at - 1) * step - first), min(count, (at + 1) * step - first)
        if low >= high or width.mono:
            continue
        begin, end = max(0, low - TAPS), min(count, high + TAPS)
        made = _filtered(middle[begin:end], width)[low - begin : high - begin]
        side[low:high] += made * (1 - (torch.arange(low, high) + (first - at * step)).abs() / step)
    return side


def _filtered(line: Tensor, width: Width) -> Tensor:
    """A line through the filter of a width, in blocks."""
    if width.mono:
        return torch.zeros_like(line)
    straight, turned = _filters()
    taps = torch.from_numpy(np.asarray(width.pan) @ straight + np.asarray(width.spread) @ turned).float()
    size = BLOCK + TAPS
    blocks = functional.pad(line, (0, -len(line) % BLOCK)).view(-1, BLOCK)
    made = torch.fft.irfft(torch.fft.rfft(blocks, size) * torch.fft.rfft(taps, size), size)
    whole = functional.pad(made[:, :BLOCK], (0, 0, 0, 1))
    whole[1:, :TAPS] += made[:, BLOCK:]
    return whole.flatten()[TAPS // 2 : TAPS // 2 + len(line)]


@cache
def _filters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[BANDS, TAPS] each: a band of the middle as it is, and turned by a quarter of a cycle one way or the other; both centred,
    and of the power that the band has."""
    hertz = np.arange(SIZE // 2 + 1) * RATE / SIZE
    shares = _bands(hertz)
    signs = np.where(np.maximum(np.arange(BANDS) - ONE_WAY, 0) % 2, 1.0, -1.0)[:, None]
    window = np.kaiser(TAPS, 6.0)

    def lines(spectra: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        centred = np.roll(np.fft.irfft(spectra, SIZE), TAPS // 2, axis=1)
        return np.asarray(centred[:, :TAPS] * window)

    return lines(shares + 0j), _at_full_power(lines(1j * signs * shares))


def _at_full_power(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turned bands that cancel each other where they meet, raised by what that costs on average."""
    whole = np.abs(np.fft.rfft(lines.sum(0), SIZE))
    hertz = np.arange(SIZE // 2 + 1) * RATE / SIZE
    weight = _bands(hertz) ** 2 / np.maximum(hertz, 40.0)  # music has as much in each octave
    kept = (weight @ whole**2) / weight.sum(1)
    return lines / np.sqrt(kept)[:, None]


def _bands(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """[BANDS, bins] shares that add up to one: flat, with slopes of a quarter of the narrower neighbour around each edge."""
    low = np.array([0.0, *EDGES])
    high = np.array([*EDGES, 24_000.0])
    above = []
    for index, edge in enumerate(EDGES):
        slope = max(12.0, 0.25 * min(high[index] - low[index], high[index + 1] - low[index + 1]))
        above.append(0.5 - 0.5 * np.cos(np.pi * np.clip((hertz - edge) / (2 * slope) + 0.5, 0.0, 1.0)))
    rising = np.stack([np.ones_like(hertz), *above])
    falling = np.stack([*(1 - one for one in above), np.ones_like(hertz)])
    return rising * falling
