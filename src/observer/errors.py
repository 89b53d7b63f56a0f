# SPDX-License-Identifier: Apache-2.0
"""Every error Observer raises on purpose, with a stable code, a place, and what to do now.

    ObserverError                                              exit
    ├── UsageError            wrong call or flags      OBS1xx   2
    ├── CapabilityError       privilege, kernel        OBS2xx  12
    ├── CaptureError          capture died, disk full  OBS3xx  13
    ├── IntegrityError        THE EVIDENCE DOES NOT HOLD OBS4xx 14
    │   ├── ChainBroken  MacMismatch  SequenceGap  ChunkMismatch
    │   ├── ManifestMismatch  TruncatedLog  ClockRegression
    ├── FormatError           not ours, newer, malformed OBS5xx 15
    ├── ReplayError           DesyncError              OBS6xx  16
    ├── NotFoundError         unknown trace, snapshot  OBS7xx  17
    ├── DeliveryError         OTLP or model endpoint   OBS8xx  18
    └── InternalError         our bug: please report   OBS9xx  70

The native core raises these classes too; it imports them by name when it is loaded, so a renamed class fails at once.
`docs/ERRORS.md` is generated from this file.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CapabilityError",
    "CaptureError",
    "ChainBroken",
    "ChunkMismatch",
    "ClockRegression",
    "CommandNotExecutable",
    "CommandNotFound",
    "DeliveryError",
    "DesyncError",
    "FormatError",
    "IntegrityError",
    "InternalError",
    "KeyUnusable",
    "MacMismatch",
    "ManifestMismatch",
    "NewerVersion",
    "NotFoundError",
    "ObserverError",
    "ReplayError",
    "SequenceGap",
    "StorageFull",
    "TracePermission",
    "TruncatedLog",
    "UnsupportedAbi",
    "UsageError",
]


class ObserverError(Exception):
    """Base of all errors that Observer raises on purpose.

    Attributes:
        code: Stable code, such as `OBS401`; never reused for another meaning.
        exit_code: Process exit status when this error ends a command.
        hint: What the reader can do now; one sentence without a full stop.
        where: Position facts, such as `{"sequence": 812, "offset": 90112}`; keys and values are for `--json`.
    """

    code: ClassVar[str] = "OBS000"
    exit_code: ClassVar[int] = 70
    default_hint: ClassVar[str] = "run the command again with -vv and report what it prints"

    def __init__(
        self, message: str, *, hint: str | None = None, where: dict[str, object] | None = None
    ) -> None:
        """Make the error; `message` is one sentence that says what failed and where, without a full stop."""
        super().__init__(message)
        self.hint = hint if hint is not None else self.default_hint
        self.where: dict[str, object] = dict(where or {})


class UsageError(ObserverError):
    """A call or a command line that cannot mean anything."""

    code = "OBS100"
    exit_code = 2
    default_hint = "see --help"


class KeyUnusable(UsageError):
    """A key was asked for and cannot be used: unreadable, empty, too short or not hexadecimal."""

    code = "OBS101"
    default_hint = "give 32 bytes or more as hexadecimal in WSLMON_LOG_HMAC_KEY or in the file WSLMON_LOG_HMAC_KEY_FILE names"


class CapabilityError(ObserverError):
    """The kernel or this user's rights do not permit what was asked."""

    code = "OBS200"
    exit_code = 12
    default_hint = "run 'observer doctor' to see what this machine permits"


class TracePermission(CapabilityError):
    """The kernel refused to let this user trace that process."""

    code = "OBS201"


class UnsupportedAbi(CapabilityError):
    """A program of another word size or architecture than this machine's own."""

    code = "OBS202"


class CaptureError(ObserverError):
    """Capturing stopped before its end, or could not keep what it captured."""

    code = "OBS300"
    exit_code = 13
    default_hint = "what had been sealed is kept; run 'observer verify' on the recording"


class StorageFull(CaptureError):
    """The disk or quota under the recording is full."""

    code = "OBS301"
    default_hint = "free space or record to another place with -o; what had been sealed is kept"


class CommandNotFound(CaptureError):
    """The command to record does not exist; exit status as a shell's, 127."""

    code = "OBS302"
    exit_code = 127
    default_hint = "check the spelling and PATH; nothing was recorded"


class CommandNotExecutable(CaptureError):
    """The command to record exists and cannot be executed; exit status as a shell's, 126."""

    code = "OBS303"
    exit_code = 126
    default_hint = "check its permissions and format with 'ls -l' and 'file'"


class IntegrityError(ObserverError):
    """THE EVIDENCE DOES NOT HOLD. Never retried, never downgraded to a warning."""

    code = "OBS400"
    exit_code = 14
    default_hint = "keep the original untouched and treat everything from this position on as unproven"


class ChainBroken(IntegrityError):
    """A line does not follow from the line before it."""

    code = "OBS401"


class MacMismatch(IntegrityError):
    """The chain holds but the keyed signature does not, or it is missing where the policy wants it."""

    code = "OBS402"


class SequenceGap(IntegrityError):
    """Sequence numbers jump, repeat or run backwards."""

    code = "OBS403"


class ChunkMismatch(IntegrityError):
    """The bytes of a chunk are not the bytes whose digest was sealed."""

    code = "OBS404"


class ManifestMismatch(IntegrityError):
    """A rotated file and its manifest disagree, or one of them is missing."""

    code = "OBS405"


class TruncatedLog(IntegrityError):
    """Sealed records are missing from the end."""

    code = "OBS406"


class ClockRegression(IntegrityError):
    """Time runs backwards between records in a way that no declared clock step explains."""

    code = "OBS407"


class FormatError(ObserverError):
    """Not a file of ours, or malformed in a way that damage explains."""

    code = "OBS500"
    exit_code = 15
    default_hint = "check that the path names a recording or a sealed log"


class NewerVersion(FormatError):
    """Written by a newer version whose format this one does not know."""

    code = "OBS501"
    default_hint = "read it with the version of Observer that wrote it, or a newer one"


class ReplayError(ObserverError):
    """A recording cannot be replayed, or its replay went wrong."""

    code = "OBS600"
    exit_code = 16


class DesyncError(ReplayError):
    """The replay differs from the recording."""

    code = "OBS601"


class NotFoundError(ObserverError):
    """No trace, recording, replay or snapshot of that name."""

    code = "OBS700"
    exit_code = 17
    default_hint = "list what there is with 'observer show'"


class DeliveryError(ObserverError):
    """An endpoint did not take what was sent; may be tried again."""

    code = "OBS800"
    exit_code = 18


class InternalError(ObserverError):
    """A bug of ours."""

    code = "OBS900"
    exit_code = 70
