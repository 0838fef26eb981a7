"""Interpret the failures of a store, and repeat requests that failed.

A store answers 500 and 503 under load, drops connections, and ends a body before its announced length. These failures
pass, so a request is repeated several times, after waits that double. A request that still fails raises
:class:`~gapdata.errors.StoreError`, which says nothing about the data in the store. Failures that do not pass (a
missing object, a missing permission) are an ``OSError`` at once, as on a disk. The waits are not random, so that a
build stays reproducible; workers that fail together send different requests anyway.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gapdata.errors import StoreError

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
"""Seconds before each repetition, together half a minute, which is longer than the usual bursts of a store."""
DENIED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY",
    "SIGNATURE",
    "CREDENTIALS",
    "FORBIDDEN",
    "PERMISSION",
    "UNAUTHENTICATED",
    "OAUTH2",
    "(403)",
    "HTTP STATUS 403",
    "HTTP STATUS 401",
)
ABSENT = ("NO_SUCH_KEY", "RESOURCE_NOT_FOUND", "HTTP STATUS 404")
REFUSED = re.compile(
    r"HTTP STATUS 4(?!08|25|29)\d\d|INVALID_RANGE|INVALIDRANGE|VALIDATION|MALFORMED|INVALID_PARAM"
    r"|\[CODE 1[2-9]\d\](?!.*UPLOAD DOES NOT EXIST)"
)
"""Answers that refuse the request for good; 408 (timeout), 425 (too early) and 429 (too many) pass and are not among
them. Arrow writes S3's own errors as numbers from 128 on. An upload that no longer exists can be made again."""
UNREACHABLE = ("NETWORK_CONNECTION", "CURLCODE", "REQUEST_TIMEOUT", "COULD NOT RESOLVE")
CREDENTIALS = {"s3": "AWS_ACCESS_KEY_ID, AWS_PROFILE", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}
ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}
MAX_TEXT = 300
Result = TypeVar("Result")


def repeated(call: Callable[[], Result], place: str, ended: threading.Event | None = None) -> Result:
    """Make a request to a store, and repeat it while it fails in a way that passes.

    Args:
        call: makes the request; it raises :class:`ShortAnswer` if the answer is incomplete.
        place: the URI, for messages.
        ended: set by another thread when it no longer waits for the result.

    Raises:
        StoreError: it still fails after all repetitions.
        OSError: the store refuses for good; ``filename`` is the URI.
    """
    for wait in (*WAITS, None):
        try:
            return call()
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place) from error
        except ValueError as error:
            raise OSError(errno.EINVAL, f"the store refuses: {brief(str(error))}", place) from error
        except OSError as error:
            failure = meaning(str(error), place)
            if isinstance(failure, OSError) or wait is None or (ended is not None and ended.is_set()):
                raise failure from error
        if ended is None:
            time.sleep(wait)
        else:
            ended.wait(wait)
    raise AssertionError("the last repetition returns or raises")


class ShortAnswer(OSError):
    """An answer has fewer bytes than it must have."""


def brief(text: str) -> str:
    """Return the beginning of a paragraph as one line."""
    return " ".join(text.split())[:MAX_TEXT]


def meaning(text: str, place: str) -> OSError | StoreError:
    """Return the error for a message of Arrow: an ``OSError`` if the store refuses, else a ``StoreError``."""
    known = text.upper()
    scheme = place.partition("://")[0]
    if any(mark in known for mark in DENIED):
        problem = f"access is denied; check the credentials ({CREDENTIALS[scheme]}) and policy"
        return PermissionError(errno.EACCES, problem, place)
    if "NO_SUCH_BUCKET" in known:
        return FileNotFoundError(errno.ENOENT, "the bucket does not exist", place)
    if any(mark in known for mark in ABSENT):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
    if REFUSED.search(known):
        return OSError(errno.EIO, f"the store refuses: {brief(text)}", place)
    tried = f"{1 + len(WAITS)} attempts in {sum(WAITS):.0f} s"
    if any(mark in known for mark in UNREACHABLE):
        problem = f"the store cannot be reached; check the network and {ENDPOINT[scheme]} ({tried})"
    else:
        problem = f"the store fails: {brief(text)} ({tried})"
    return StoreError(problem, path=place, cure="the same command goes on where this one stopped")
