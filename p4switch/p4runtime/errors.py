"""Errors of P4Runtime requests and how they travel: P4Runtime specification, "Error Reporting Messages"."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import grpc
from finsy.proto import p4r, rpc_status


class Code(IntEnum):
    """The canonical codes of google.rpc.Code that this server answers with."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13


GRPC_CODES = {status.value[0]: status for status in grpc.StatusCode}
DETAILS_KEY = "grpc-status-details-bin"
MAX_DETAIL_TEXT = 3000
"""Characters of error text in one status: clients take 8 KB of metadata by default (specification, "gRPC Metadata
Maximum Size")."""


class RequestError(Exception):
    """A request, or one update or entity of it, that cannot be carried out; the text says why."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RequestError:
    """An INVALID_ARGUMENT error."""
    return RequestError(Code.INVALID_ARGUMENT, message)


def out_of_range(message: str) -> RequestError:
    """An OUT_OF_RANGE error."""
    return RequestError(Code.OUT_OF_RANGE, message)


def batch_status(kind: str, outcomes: Sequence[RequestError | None]) -> rpc_status.Status:
    """The status of a batch in which something failed: one p4.v1.Error for each element, in order.

    Args:
        kind: what the batch is, for the summary: "Write" or "Read".
        outcomes: an error or None (done) for each element.
    """
    failed = [error for error in outcomes if error is not None]
    summary = f"{kind} failed for {len(failed)} of {len(outcomes)}, first: {failed[0].message[:500]}"
    status = rpc_status.Status(code=Code.UNKNOWN, message=summary)
    room = MAX_DETAIL_TEXT
    for error in outcomes:
        detail = p4r.Error()
        if error is not None:
            detail.canonical_code, detail.message = error.code, error.message[:room]
            room -= len(detail.message)
        status.details.add().Pack(detail)
    return status
