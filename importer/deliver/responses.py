"""What a request's end means for its row, a pure function of status and body; and what the headers say of the limit.

Where the documentation is silent, a row is `ResponseKind.IN_DOUBT` unless the answer proves that no event was made;
sending twice is worse than asking the user:

======================================  ==============  =====================================================
answer                                  kind            why
======================================  ==============  =====================================================
200, 201, an object without             sent            documented; ``success`` missing is taken as true
``success: false``
200, 201, ``success: false``            refused         the body speaks of this very event
200, 201, anything else                 in doubt        HTML, cut short, over-long, not an object, ``success``
                                                        neither true nor false or both (duplicate keys), or
                                                        ``errors`` (``error``) beside a missing one
other 2xx                               in doubt        undocumented: 202 promises, 204 says nothing
1xx as a final answer                   in doubt        101 leaves HTTP; the others are no answers
3xx                                     in doubt        never followed, the token goes nowhere else; a 303 is sent
                                                        *after* the work was done, so nothing is proven
401, 403                                unauthorized    documented: the token is the problem, unless a probe
                                                        shows that it is good; then it is the row
425, 429                                not accepted    RFC 8470 5.2, RFC 6585 4: turned away before any work
408                                     in doubt        RFC 9110 says "not received in full", but proxies answer so
                                                        after the server behind them was too slow
other 4xx                               refused         the request itself is at fault, each time it is sent; whatever
                                                        the body says, ``success: true`` included, or if it is
                                                        cut short or never comes
5xx and above                           in doubt        the server may have failed after the event was made
======================================  ==============  =====================================================

The headers say what is left of the account's limit, in every form met in the wild; garbage reads as "not said".
Sources: the vendor's API pages (a date-time such as ``2026-03-18T13:02:00Z``); RFC 9110 5.6.7 and 10.2.3 (HTTP dates,
Retry-After as seconds or date). Seconds from now and epochs (s, ms, µs) are what other implementations send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from importer.deliver.options import DeliveryOptions
from importer.model import Claim, Outcome, Response, ResponseKind, State

LONGEST = 7 * 86400.0
"""Seconds; a later reset is not believed, and a number that is no moment of these days is a number of seconds."""
_MAX_RETRY_AFTER = 1e9
"""Seconds: what a longer wait is read as."""
_DIGITS = re.compile(r"\d{1,15}")
_NUMBER = re.compile(r"\d{1,17}(\.\d{1,9})?")


def _with_limits(response: Response, headers: Mapping[str, str], wall: float) -> Response:
    """The response with what its headers say of the quota, and None wherever they say nothing that makes sense.

    ``wall`` serves only where the answer has no ``Date``, so that a wrong clock does no harm.
    """
    limit = headers.get("X-RateLimit-Limit")
    remaining = headers.get("X-RateLimit-Remaining")
    reset = headers.get("X-RateLimit-Reset")
    retry = headers.get("Retry-After")
    if limit is None and remaining is None and reset is None and retry is None:
        return response
    said = _moment(headers.get("Date", ""))
    sent_at = wall if said is None else said
    reset_in, retry_after = _seconds_until(reset, sent_at), _seconds_until(retry, sent_at)
    return replace(
        response,
        limit=_count(limit) or None,
        remaining=_count(remaining),
        reset_in=None if reset_in is None or reset_in > LONGEST else reset_in,
        retry_after=None if retry_after is None else min(retry_after, _MAX_RETRY_AFTER),
    )


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    if text.startswith("-"):
        return 0 if _DIGITS.fullmatch(text[1:]) else None
    return int(text) if text.isascii() and _DIGITS.fullmatch(text) else None


def _seconds_until(text: str | None, sent_at: float) -> float | None:
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and _NUMBER.fullmatch(text):
        number = float(text)
        since = _epoch(number) - sent_at
        seconds = since if abs(since) <= LONGEST else number
    else:
        moment = _moment(text)
        if moment is None:
            return None
        seconds = moment - sent_at
    return max(seconds, 0.0)


def _epoch(number: float) -> float:
    """Seconds since the epoch from a number of seconds, milliseconds or microseconds."""
    for unit in (1.0, 1e3, 1e6):
        if number / unit < 1e11:
            return number / unit
    return number / 1e9


@lru_cache(maxsize=64)  # the same second's texts come again with every answer
def _moment(text: str) -> float | None:
    """Seconds since the epoch from ISO 8601 (naive: UTC) or an HTTP date."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


LONGEST_MESSAGE = 300
"""Characters of the API's own words that are kept."""

Redact = Callable[[str], str]
"""Masks the token in a text. It comes before any text is cut: a part of the token would be shown otherwise."""


def unchanged(text: str) -> str:
    """For answers that can hold no token."""
    return text


_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2066-\u2069\ufeff]+")
_TAG = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)|<[^>]*>", re.DOTALL | re.IGNORECASE)


def classify(  # noqa: PLR0913  # all that an answer is made of
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    latency: float,
    wall: float,
    complete: bool = True,
    redact: Redact = unchanged,
    probe: bool = False,
) -> Response:
    """Judge an answer to ``POST /v2/events``; ``probe``: to the harmless ``GET /v2/subscribers``.

    ``headers`` look names up in any case; ``complete`` is false where the body was cut short or longer than what is
    read; ``latency`` is in seconds; ``wall`` the machine's time in seconds since the epoch.

    A probe is never in doubt, since nothing hangs on it. `ResponseKind.SENT`: the API answers as documented (its body,
    which lists people, is not repeated anywhere), `ResponseKind.UNAUTHORIZED`: the token is the problem; anything else
    is `ResponseKind.NOT_ACCEPTED`, distinguished by its status.
    """
    kind, message = _judge_probe(status, body, redact) if probe else _judge(status, body, redact, complete=complete)
    date = _moment(headers.get("Date", "")) if probe else None
    return _with_limits(Response(kind, status, shorten(message), latency, date=date), headers, wall)


def unanswered(message: str, *, may_have_left: bool, latency: float, local: bool = False) -> Response:
    """The response where none came: in doubt if the request may have left, surely not accepted if not."""
    kind = ResponseKind.IN_DOUBT if may_have_left else ResponseKind.NOT_ACCEPTED
    return Response(kind, None, shorten(message), latency, local=local)


def distrusted(answer: Response) -> Response:
    """The same response where unrequested bytes followed it: it may be the answer to another event."""
    status = "" if answer.status is None else f" (HTTP {answer.status})"
    said = f"the server sent unrequested data after this answer{status}: it may belong to another event"
    return replace(answer, kind=ResponseKind.IN_DOUBT, message=said)


_STATES = {
    ResponseKind.SENT: State.SENT,
    ResponseKind.REFUSED: State.REFUSED,
    ResponseKind.NOT_ACCEPTED: State.PENDING,
    ResponseKind.UNAUTHORIZED: State.PENDING,
    ResponseKind.IN_DOUBT: State.IN_DOUBT,
}


def outcome_of(claim: Claim, response: Response, at: float, options: DeliveryOptions) -> Outcome:
    """The outcome of a claimed row; PENDING means that it is to be tried again.

    Only attempts that may have been accepted, or were judged, count as attempts.
    """
    state, code = _STATES[response.kind], reason_code(response)
    attempts = claim.attempts + (state is not State.PENDING)
    maybe_sent = state is State.IN_DOUBT
    if maybe_sent and options.resend_doubtful:
        state = State.PENDING if attempts < options.max_attempts else State.FAILED
        code = code if state is State.PENDING else "failed.attempts"
    elif state is State.REFUSED and claim.maybe_sent:
        # The API's answer now does not show what it did then: no other run is to send this row by itself.
        state, code = State.FAILED, "failed.refused"
    return Outcome(
        claim.id, state, attempts, response.status, code, response.message, at, response.latency, maybe_sent=maybe_sent
    )


def reason_code(answer: Response) -> str:
    """The code of ``importer.reasons`` for a row that ends with this answer; empty if it was sent or stays pending."""
    if answer.kind is ResponseKind.REFUSED:
        return "api.refused"
    if answer.kind is not ResponseKind.IN_DOUBT:
        return ""
    if answer.status is None:
        return "doubt.no_answer"
    return "doubt.server_error" if answer.status >= 500 else "doubt.unreadable"


def _judge_probe(status: int, body: bytes, redact: Redact) -> tuple[ResponseKind, str]:
    if status == 200:
        documented = body.lstrip()[:1] == b"{"
        return (ResponseKind.SENT, "") if documented else (ResponseKind.NOT_ACCEPTED, "HTTP 200")
    kind = ResponseKind.UNAUTHORIZED if status in (401, 403) else ResponseKind.NOT_ACCEPTED
    return kind, words(status, body, redact)


@lru_cache(maxsize=16)  # most answers of a run are the same few
def _judge(status: int, body: bytes, redact: Redact, *, complete: bool) -> tuple[ResponseKind, str]:
    if status in (200, 201):
        return _judge_success(status, body, redact, complete=complete)
    message = words(status, body, redact)
    if status in (401, 403):
        return ResponseKind.UNAUTHORIZED, message
    if status in (425, 429):
        return ResponseKind.NOT_ACCEPTED, message
    if 400 <= status < 500 and status != 408:
        return ResponseKind.REFUSED, message
    if 300 <= status < 400:
        return ResponseKind.IN_DOUBT, f"HTTP {status}: a redirect, which is not followed; is --endpoint right?"
    return ResponseKind.IN_DOUBT, message


def _judge_success(status: int, body: bytes, redact: Redact, *, complete: bool) -> tuple[ResponseKind, str]:
    if not complete:
        return ResponseKind.IN_DOUBT, f"HTTP {status}, but the answer is cut short or too long"
    answer = _decode(body)
    if not isinstance(answer, dict):
        return ResponseKind.IN_DOUBT, f"HTTP {status}, but the answer is not a JSON object: {_plain(body, redact)}"
    success = answer.get("success", None if answer.get("errors") or answer.get("error") else True)
    if body.count(b'"success"') > 1 and _contradicts_itself(body):
        success = None
    if success is True:
        return ResponseKind.SENT, ""
    if success is False:
        return ResponseKind.REFUSED, redact(_said(answer)) or f"HTTP {status}, success: false"
    return (
        ResponseKind.IN_DOUBT,
        f"HTTP {status}, but the answer does not say whether the event was made: {_plain(body, redact)}",
    )


def _contradicts_itself(body: bytes) -> bool:
    """Whether ``success`` is there more than once, with different values: JSON leaves open which one counts."""
    outermost: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        outermost[:] = pairs  # the outermost object is the last to be complete

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return True
    return len({repr(value) for name, value in outermost if name == "success"}) > 1


def words(status: int, body: bytes, redact: Redact = unchanged) -> str:
    """The API's own words in an answer, else the status and the beginning of its text."""
    answer = _decode(body)
    said = _said(answer) if isinstance(answer, dict) else ""
    if said:
        return redact(said)
    text = _plain(body, redact)
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"


def shorten(text: str) -> str:
    """``text`` on one line, without control characters, at most 300 characters long."""
    if not text:
        return ""
    line = _UNSEEN.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).strip()
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _said(answer: dict[str, Any]) -> str:
    """``message`` and the per-field ``errors``, as in ``The given data was invalid. email: The email is required.``."""
    message = answer.get("message") or answer.get("error")
    parts = [message] if isinstance(message, str) else []
    errors = answer.get("errors")
    if isinstance(errors, dict):
        parts += [f"{field}: {_flat(errors[field])}" for field in errors]
    elif errors:
        parts.append(_flat(errors))
    return " ".join(part for part in parts if part)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(_flat(item) if not isinstance(item, (list, dict)) else _json(item) for item in value)
    return _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _plain(body: bytes, redact: Redact) -> str:
    """The beginning of a body as plain text, without markup."""
    text = redact(body.decode("utf-8", "replace"))
    return _UNSEEN.sub(" ", _TAG.sub(" ", text[:4096])).strip()[:120]
