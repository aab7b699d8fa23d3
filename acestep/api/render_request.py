"""The request of the operation ``render``, which is also what a stored recipe is."""

from typing import Annotated, Any

from acestep.api import limits
from acestep.api.request import VERSION
from acestep.api.schema import Request, param
from acestep.api.sound import SoundName


class RenderRequest(Request):
    """Request of the operation ``render``: a chain of stages in its nested form."""

    stages: Annotated[
        list[dict[str, Any]],
        param(
            "The chain: each a map of `type`, that stage's parameters, `source` (a place and a region) and `returns`.",
            max_length=limits.MAX_STAGES,
            example=[
                {"type": "generate", "steps": 8},
                {"type": "repaint", "source": {"stage": 1, "start_seconds": 8.0}},
            ],
        ),
    ]
    conditioning: Annotated[
        dict[str, Any],
        param("Caption, lyrics, tempo ... that all stages share.", example={"caption": "warm lofi house"}),
    ] = {}
    source: Annotated[dict[str, Any], param("Audio to work on: path, start, length ...")] | None = None
    output: Annotated[dict[str, Any], param("What to return, and in which format.")] = {}
    format: Annotated[str, param("Format name of a stored request.", group="internal")] = "acestep-bridge/render"
    version: Annotated[int, param("Version of that format.", unit="level", ge=1, group="internal")] = VERSION
    weights: Annotated[
        dict[str, str],
        param("Digests of the weights that made the recipe; other weights are refused.", group="internal"),
    ] = {}
    sound: SoundName = ""
    made_with: Annotated[
        str, param("Name of the saved sound whose values are in the recipe.", max_length=40, group="internal")
    ] = ""
    made_on: Annotated[
        str,
        param(
            "Device and number format that made the recipe; a note tells you if yours differ.",
            max_length=80,
            group="internal",
        ),
    ] = ""
    precision: Annotated[
        dict[str, str],
        param(
            "Number format of each model in the recipe; used again if the device can, else a note tells you.",
            group="internal",
        ),
    ] = {}
