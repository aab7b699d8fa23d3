"""Where audio is cut and where it lands: samples, seconds, windows, fades."""

import math


def samples(seconds, rate):
    """The one rule that turns seconds into samples: ``floor(seconds * rate + 0.5)``."""
    return math.floor(seconds * rate + 0.5)


def convert(position, source_rate, target_rate):
    """The same moment in samples of another rate; exact for equal rates, half a sample rounds up."""
    if source_rate == target_rate:
        return position
    return (2 * position * target_rate + source_rate) // (2 * source_rate)


def window(first, last, context, timeline_end=None):
    """What to render around a region: context on both sides, never before zero and never past the end of the timeline."""
    start = max(0, first - context)
    end = last + context
    if timeline_end is not None:
        end = max(last, min(end, timeline_end))
    return {"from": start, "to": end, "start": first - start, "end": last - start}


def in_file(clip, first, last):
    """A region of the timeline (s) inside an untouched file: ``(cut, None)`` or ``(None, code)``.

    ``clip`` is ``{position, length, offset (s), rate, frames}``, played at normal speed, nothing reversed or looped. The cut has
    the region and the clip's span in the file's own samples, and ``lead``, the seconds by which the span's first sample comes
    before the clip.
    """
    rate = clip["rate"]
    start = max(first, clip["position"])
    end = min(last, clip["position"] + clip["length"])
    if end <= start:
        return None, "nothing_there"
    span_start = math.floor(clip["offset"] * rate + 1e-6)
    span_end = math.ceil((clip["offset"] + clip["length"]) * rate - 1e-6)
    if span_start < 0 or span_end > clip["frames"]:
        return None, "outside_file"
    return {
        "start": max(span_start, samples(clip["offset"] + start - clip["position"], rate)),
        "end": min(span_end, samples(clip["offset"] + end - clip["position"], rate)),
        "span_start": span_start,
        "span_end": span_end,
        "lead": max(0.0, clip["offset"] - span_start / rate),
    }, None


def landing(file, origin, project_rate):
    """Where a result file lies on the timeline, in the project's samples.

    ``origin`` is the timeline position of sample 0 of the source that was sent (of the region, for newly made parts).
    """
    rate = file["rate"]
    start = convert(file["start"], rate, project_rate)
    end = convert(file["start"] + file["length"], rate, project_rate)
    position, skip = origin + start, 0
    if position < 0:
        position, skip = 0, -(origin + start)
    return {
        "position": position,
        "length": origin + end - position,
        "skip": skip,
        "fade_in": convert(file.get("lead_in", 0), rate, project_rate),
        "fade_out": convert(file.get("lead_out", 0), rate, project_rate),
    }


def seconds(position, rate):
    """Seconds that a number of samples lasts."""
    return position / rate
