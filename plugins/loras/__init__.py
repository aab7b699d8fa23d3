"""Operations on LoRA adapters, which stages use by their parameter ``lora``: list them, and make one of one's own music."""

from collections.abc import Callable
from typing import Annotated

from acestep.api import Operation, Request, hookimpl, param
from plugins.loras import datasets, training


class ListLoras(Request):
    """Request of ``loras``: the model they are held against."""

    model: Annotated[str, param("Compare them with this model; empty: the default model.", choices="models")] = ""


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """The list, and what datasets and trainings need."""
    for operation in (*datasets.OPERATIONS, *training.OPERATIONS):
        register(operation)
    register(
        Operation(
            name="loras",
            summary="List the adapters (LoRA, DoRA, LoKr ...) and how each fits a model.",
            schema=ListLoras,
            result=dict,
            runs="daemon",
            target="acestep.checkpoints.adapters:run_list",
            group="models",
        )
    )
