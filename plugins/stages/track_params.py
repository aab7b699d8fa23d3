"""What the stages that work on one named track share."""

from typing import Annotated

from acestep.api import ModelInfo, SourceFacts, StageParams, param, require_region, require_task
from acestep.api.errors import BadRequest
from acestep.api.music import TRACKS
from plugins.stages.near_source import NoiseStrength


class TrackParams(StageParams):
    """Parameters of a stage for one track."""

    track: Annotated[str, param("Track to extract or to add.", choices="tracks", example="drums")] = ""
    noise_strength: NoiseStrength = None


def require_track(params: TrackParams, source: SourceFacts | None, model: ModelInfo, *, operation: str) -> None:
    """Raise `ModelUnsuited` on models without the task, and `BadRequest` without a region or a track."""
    require_task(operation, model, operation=operation)
    require_region(source, operation=operation)
    if not params.track:
        raise BadRequest(f"{operation} needs the name of a track", field="track", limits={"choices": list(TRACKS)})
