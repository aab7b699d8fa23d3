"""The original's dataset and training calls: what they are here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.doors.rest.envelope import answer, not_offered

HINT = "datasets and training are done by `acestep-bridge train` and its operations, not over this interface"
"""What is told where the original would do something."""


async def status(request: Request) -> Response:
    """That nothing is trained over this interface."""
    return answer(
        {
            "is_training": False,
            "should_stop": False,
            "current_step": 0,
            "current_loss": None,
            "current_epoch": 0,
            "status": "Idle",
            "config": {},
            "tensor_dir": "",
            "loss_history": [],
            "tensorboard_url": None,
            "tensorboard_logdir": None,
            "training_log": "",
            "start_time": None,
            "steps_per_second": 0.0,
            "estimated_time_remaining": 0.0,
            "error": None,
        }
    )


async def stop(request: Request) -> Response:
    """There is nothing to stop."""
    return answer({"message": "No training in progress"})


async def elsewhere(request: Request) -> JSONResponse:
    """A call that is not offered: 501, in the envelope."""
    return not_offered(HINT)
