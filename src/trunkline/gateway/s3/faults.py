"""What S3 clients are told when something is refused: a code of the protocol's, and a sentence for people."""

from __future__ import annotations

from trunkline.errors import Kind, TrunklineError

STATUS = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDelimiter": 400,
    "InvalidDigest": 400,
    "InvalidFilePath": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "MalformedXML": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "WriteToOutputBranch": 400,
    "XAmzContentSHA256Mismatch": 400,
}
"""Every code that is used here, and its status."""

_OF_KIND = {
    Kind.INVALID_ARGUMENT: "InvalidArgument",
    Kind.NOT_FOUND: "NoSuchKey",
    Kind.ALREADY_EXISTS: "InvalidRequest",
    Kind.FAILED_PRECONDITION: "InvalidRequest",
    Kind.ABORTED: "OperationAborted",
    Kind.PERMISSION_DENIED: "AccessDenied",
    Kind.UNAUTHENTICATED: "AccessDenied",
    Kind.RESOURCE_EXHAUSTED: "ServiceUnavailable",
    Kind.UNAVAILABLE: "ServiceUnavailable",
    Kind.UNIMPLEMENTED: "NotImplemented",
}


class Fault(Exception):
    """A refusal. `str(fault)` is the message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]


def fault_of(error: TrunklineError) -> Fault:
    """An error of ours, as S3 names it. Those that a caller can do nothing about are internal ones."""
    return Fault(_OF_KIND.get(error.kind, "InternalError"), str(error))
