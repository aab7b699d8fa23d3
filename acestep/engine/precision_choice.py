"""In which precision a model is opened: as a recipe says, else as settings, processor, files and free memory say."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from acestep.api.family import FamilyRuntime
from acestep.api.precision import Precision
from acestep.checkpoints.memory import Numbers, Room, is_short, stored_in_bfloat16
from acestep.runtime.devices import DTYPES, dtype_name
from acestep.runtime.policy import Policy


@dataclass(frozen=True)
class OpenedAs:
    """What a model was opened in, and what it would have been opened in for a job without a recipe."""

    wanted: Precision
    usual: Precision


def usual_precision(
    policy: Policy, dtype: torch.dtype, runtime: FamilyRuntime, numbers: Numbers, room: Room
) -> Precision:
    """What a model is opened in where no recipe says otherwise. ``room`` has the memory that is free; its format is not read.

    A processor with bfloat16 arithmetic uses it for files that hold bfloat16, which loses nothing that is in them. 8-bit
    arithmetic on a processor works beside float32.
    """
    device = policy.choice.device
    usual = runtime.supported_dtype(device, dtype)
    if policy.bfloat16_where_stored and runtime.computes_bfloat16 and stored_in_bfloat16(numbers):
        usual = torch.bfloat16
    room = msgspec.structs.replace(room, dtype=dtype_name(usual), widens=usual is torch.float32 and runtime.widens)
    int8 = policy.int8 or (policy.int8_where_short and runtime.quantises and is_short(numbers, room))
    if int8 and runtime.quantises and device.type == "cpu" and policy.dtype_open:
        usual = torch.float32
    return Precision(dtype_name(usual), int8)


def supported_precision(asked: Precision, device: torch.device, runtime: FamilyRuntime) -> Precision:
    """The nearest to a recipe's precision that a family knows."""
    dtype = runtime.supported_dtype(device, DTYPES[asked.dtype])
    return Precision(dtype_name(dtype), asked.int8 and runtime.quantises)
