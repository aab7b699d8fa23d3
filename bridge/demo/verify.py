"""The demo checks itself: lengths to the sample, and every sample that must not have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from acestep.api.limits import CROSSFADE_MS
from acestep.api.rounding import samples
from bridge.check import Check

LSB_24 = 2.0**-23
"""One step of a 24-bit file, on a scale of -1 to 1."""


def verify(session: dict[str, Any], loop: Path) -> list[Check]:
    """All checks of a session; a job that did not end as it should is a failed check, not an error."""
    jobs = {job["title"]: job for job in session["jobs"]}
    checks = [
        Check(
            f"{title} ended as {wanted}",
            jobs[title]["state"] == wanted,
            f"{jobs[title]['state']} {jobs[title]['message']}".strip(),
        )
        for title, wanted in (("repaint", "done"), ("drums", "done"), ("part", "done"), ("cancelled", "cancelled"))
    ]
    mix = loop / "mix.flac"
    if jobs["repaint"]["state"] == "done":
        checks += _check_repaint(files(jobs["repaint"]), mix, session["region"])
    if jobs["drums"]["state"] == "done":
        checks += _check_stem(files(jobs["drums"]), mix)
    if jobs["part"]["state"] == "done":
        checks.append(_check_length("the generated part", files(jobs["part"])["part"], session["part"]))
    checks.append(Check("the cancelled job left no file", not jobs["cancelled"]["files"]))
    return checks


def files(job: dict[str, Any]) -> dict[str, Path]:
    """Role -> file of a job."""
    return {file["role"]: Path(file["path"]) for file in job["files"]}


def _check_repaint(made: dict[str, Path], mix: Path, region: dict[str, int]) -> list[Check]:
    before, rate = soundfile.read(mix, dtype="int32", always_2d=True)
    after, _ = soundfile.read(made["whole"], dtype="int32", always_2d=True)
    before_info, after_info = soundfile.info(mix), soundfile.info(made["whole"])
    same_kind = (before_info.format, before_info.subtype, rate) == (
        after_info.format,
        after_info.subtype,
        after_info.samplerate,
    )
    checks = [
        _check_length("the repainted file", made["whole"], len(before)),
        Check(
            "it keeps container, depth and rate",
            same_kind,
            f"{after_info.format} {after_info.subtype} {after_info.samplerate} Hz",
        ),
    ]
    if len(after) != len(before):
        return checks
    fade = samples(CROSSFADE_MS / 1000.0, rate)
    first, last = region["start"] - fade, region["end"] + fade
    changed = np.flatnonzero((before != after).any(axis=1))
    outside = int(np.count_nonzero((changed < first) | (changed >= last)))
    inside = int(np.count_nonzero((changed >= region["start"]) & (changed < region["end"])))
    total = len(before) - (last - first)
    checks.append(
        Check("outside region and crossfade every sample is unchanged", outside == 0, f"{outside} of {total} differ")
    )
    span = region["end"] - region["start"]
    checks.append(Check("the region contains new audio", inside > span // 2, f"{inside} of {span} differ"))
    return checks


def _check_stem(made: dict[str, Path], mix: Path) -> list[Check]:
    source, _ = soundfile.read(mix, dtype="float64", always_2d=True)
    checks = [_check_length(f"the {role}", made[role], len(source)) for role in ("stem", "residual")]
    if all(check.held for check in checks):
        stem, residual = (
            soundfile.read(made[role], dtype="float64", always_2d=True)[0] for role in ("stem", "residual")
        )
        gap = float(np.abs(stem + residual - source).max())
        loud = float(np.abs(stem).max()) >= 1.0 or float(np.abs(residual).max()) >= 1.0
        text = f"largest difference {gap / LSB_24:.1f} steps of 24 bits" + (", some samples clipped" if loud else "")
        checks.append(Check("stem and residual add up to the mix", gap <= 2 * LSB_24 or loud, text))
    return checks


def _check_length(what: str, path: Path, frames: int) -> Check:
    found = soundfile.info(path).frames
    return Check(f"{what} has exactly {frames} samples", found == frames, str(found))
