"""The built-in schedules: where the timesteps lie."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import ScheduleSpec, hookimpl
from plugins.schedules.quantiles import beta_quantile

TABLE_STEPS = 8
TABLE_SHIFTS = (1.0, 2.0, 3.0)
"""The times turbo models were distilled at are the shifted linear grid of 8 steps at these shifts."""

SMALLEST = 1e-3
"""Smallest time of the 1000-step training grid that sgm_uniform spaces itself over."""

RHO = 7.0
"""What Karras et al. found to work best."""

CONTINUOUS_SHIFTS = (1.0, 5.0)
"""Range of shifts the continuous turbo model was trained over."""


def shifted(t: float, shift: float) -> float:
    """``s t / (1 + (s - 1) t)``: more steps at high noise for a shift above 1."""
    return shift * t / (1 + (shift - 1) * t)


def linear(steps: int, shift: float) -> list[float]:
    """An even grid from 1 to 0, shifted."""
    return [shifted(1 - k / steps, shift) for k in range(steps + 1)]


def table_shift(steps: int, shift: float) -> float:
    """For 8 steps the nearest shift that turbo was distilled at (1, 2, 3)."""
    return min(TABLE_SHIFTS, key=lambda known: abs(known - shift)) if steps == TABLE_STEPS else shift


def discrete(steps: int, shift: float) -> list[float]:
    """The times turbo was distilled at: for 8 steps the table of the nearest shift (1, 2, 3), otherwise the shifted grid."""
    return linear(steps, table_shift(steps, shift))


TABLE_TIMES = tuple(
    sorted({round(shifted(1 - k / TABLE_STEPS, shift), 9) for shift in TABLE_SHIFTS for k in range(TABLE_STEPS)})
)
"""The 20 times of all three tables."""


def continuous_shift(steps: int, shift: float) -> float:
    """The shift held to 1 to 5, the range of the continuous turbo model."""
    low, high = CONTINUOUS_SHIFTS
    return min(max(shift, low), high)


def continuous(steps: int, shift: float) -> list[float]:
    """The shifted grid with the shift held to 1 to 5, the range of the continuous turbo model."""
    return linear(steps, continuous_shift(steps, shift))


def sgm_uniform(steps: int, shift: float) -> list[float]:
    """An even grid over the 1000 training times, shifted, with 0 appended (the spacing ComfyUI calls so)."""
    return [*(shifted(1 - k / steps * (1 - SMALLEST), shift) for k in range(steps)), 0.0]


def double_shift(steps: int, shift: float) -> list[float]:
    """An even grid between the shifted ends of the training times, shifted again, with 0 appended."""
    first, last = shifted(1.0, shift), shifted(SMALLEST, shift)
    return [*(shifted(first + (last - first) * k / max(1, steps - 1), shift) for k in range(steps)), 0.0]


def karras(steps: int, shift: float) -> list[float]:
    """Even in the seventh root of the noise level, between the shifted ends of the training times, with 0 appended: Karras et al.
    2022 (arXiv 2206.00364), equation 5, with sigma = t as ComfyUI has it for flows."""
    first, last = (end ** (1 / RHO) for end in (shifted(1.0, shift), shifted(SMALLEST, shift)))
    return [*((first + (last - first) * k / max(1, steps - 1)) ** RHO for k in range(steps)), 0.0]


def beta(steps: int, shift: float) -> list[float]:
    """Quantiles of the distribution Beta(0.6, 0.6) over the training times, shifted, with 0 appended: Lee et al. 2024 (arXiv
    2407.12173)."""
    quantiles = (beta_quantile(1 - k / steps) for k in range(steps))
    return [*(shifted(SMALLEST + (1 - SMALLEST) * q, shift) for q in quantiles), 0.0]


SCHEDULES = (
    ScheduleSpec(name="linear", times=linear, summary="Even grid with any shift.",
                 aliases=("simple", "normal", "uniform", "exponential", "linear_quadratic", "kl_optimal")),
    ScheduleSpec(name="discrete", times=discrete, summary="The times at which turbo models were distilled.", trained=TABLE_TIMES,
                 held_shift=table_shift, aliases=("turbo",)),
    ScheduleSpec(name="continuous", times=continuous, summary="Even grid with a shift of 1 to 5.", held_shift=continuous_shift),
    ScheduleSpec(name="sgm_uniform", times=sgm_uniform, summary="Even grid over the training times, then 0.",
                 aliases=("ddim_uniform",)),
    ScheduleSpec(name="karras", times=karras, summary="Few steps at high noise, many near the end (rho 7), then 0."),
    ScheduleSpec(name="beta", times=beta, summary="Many steps at both ends, few between (Beta 0.6, 0.6), shifted.",
                 aliases=("beta57",)),
    ScheduleSpec(name="double_shift", times=double_shift, summary="Even grid whose ends are shifted too; used with v1."),
)  # fmt: skip
"""Aliases are names that users know from ComfyUI. Those that bend the grid in another way (exponential to kl_optimal) run
as the even one, which the models were trained for and which the shift can bend; results say so."""


@hookimpl
def register_schedules(register: Callable[[ScheduleSpec], None]) -> None:
    for spec in SCHEDULES:
        register(spec)
