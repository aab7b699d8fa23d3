"""Whether an exception means that memory was used up: Python, the system, torch and other libraries each say it their own way."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from acestep.api.errors import AceError, OutOfMemory

SENTENCES = (
    "DefaultCPUAllocator",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Cannot allocate memory",
    "cannot allocate memory",
    "Failed to allocate memory",
    "failed to map segment from shared object",
    "bad_alloc",
    "Memory allocation still failed",
)
"""What plain errors of torch, a device's library, the loader and ONNX Runtime say, and OpenBLAS before it ends a process."""

ONEDNN = "could not create a primitive"
"""All that oneDNN says where it finds no room for the code of a kernel. It may say so in that process ever after."""

TORCH_CLASS = "OutOfMemoryError"
"""Of torch's own errors on CUDA and XPU, by name: the daemon asks here too, and loads no torch."""


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether memory was used up, also where that is only the cause of another error: a file that could not be mapped is no bad
    file, and a plug-in whose library could not be loaded no bad plug-in.
    """
    return any(map(_tells_shortage, _causes(failure)))


def spoils_process(failure: BaseException) -> bool:
    """Whether a library may go on failing in this process when there is memory again."""
    return any(str(one) == ONEDNN for one in _causes(failure))


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    seen: set[int] = set()
    while failure is not None and id(failure) not in seen:
        seen.add(id(failure))
        yield failure
        failure = failure.__cause__


def _tells_shortage(failure: BaseException) -> bool:
    if isinstance(failure, (MemoryError, OutOfMemory)) or type(failure).__name__ == TORCH_CLASS:
        return True
    if isinstance(failure, OSError) and failure.errno == errno.ENOMEM:
        return True
    return _is_of_a_library(failure) and (str(failure) == ONEDNN or says_out_of_memory(str(failure)))


def _is_of_a_library(failure: BaseException) -> bool:
    """Whether a library may have raised it from below Python; what Python code raises (a `ValueError`, say) may quote any words."""
    if isinstance(failure, AceError):
        return False
    return isinstance(failure, (RuntimeError, ImportError, OSError)) or type(failure).__module__ != "builtins"


def says_out_of_memory(text: str) -> bool:
    """Whether a library's words mean that memory was used up."""
    return any(words in text for words in SENTENCES)
