"""Verbs that carry files to and from a daemon on another machine."""

from __future__ import annotations

from acestep.api.rights import Right
from bridge.doors import requests, transfer
from bridge.doors.verb import RPC, Verb

VERBS = (
    Verb(
        name="upload.begin",
        summary="Announce a file, or find out how much of it has arrived.",
        request=requests.UploadBegin,
        right=Right.OWNER,
        call=transfer.begin_upload,
        doors=RPC,
        answer="Id of the upload, how many bytes have arrived (go on there), whether it is complete.",
        command=None,
    ),
    Verb(
        name="upload.chunk",
        summary="Send the next piece of a file.",
        request=requests.UploadChunk,
        right=Right.OWNER,
        call=transfer.write_chunk,
        doors=RPC,
        answer="How many bytes have arrived; with the last one the sum is checked and the upload complete.",
        command=None,
    ),
    Verb(
        name="upload.status",
        summary="How much of a file has arrived; a complete one can be named as `upload` in a request.",
        request=requests.UploadId,
        right=Right.OWNER,
        call=transfer.upload_status,
        doors=RPC,
        answer="Id, size, how many bytes have arrived, whether it is complete.",
    ),
    Verb(
        name="upload.drop",
        summary="Throw an upload away.",
        request=requests.UploadId,
        right=Right.OWNER,
        call=transfer.drop_upload,
        doors=RPC,
        answer="Nothing.",
    ),
    Verb(
        name="download.begin",
        summary="Name, size and sum of a result file.",
        request=requests.DownloadBegin,
        right=Right.OWNER,
        call=transfer.begin_download,
        doors=RPC,
        answer="Name, size in bytes, SHA-256 (empty where none was stored).",
        command=None,
    ),
    Verb(
        name="download.chunk",
        summary="A piece of a result file.",
        request=requests.DownloadChunk,
        right=Right.OWNER,
        call=transfer.read_chunk,
        doors=RPC,
        answer="The bytes, their offset, and whether the file ends there.",
        command=None,
    ),
)
