"""What an answer makes of a row.

This module owns the last column of the design's table of fates, under the user's choice of ``--on-doubt``. What an
answer means is ``send.fate``'s.
"""

from __future__ import annotations

from importer.deliver.options import DeliveryOptions, Ended
from importer.deliver.responses import reason_code
from importer.model import Claim, Outcome, Response, ResponseKind, State
from importer.wording import counted

_STATES = {
    ResponseKind.SENT: State.SENT,
    ResponseKind.REFUSED: State.REFUSED,
    ResponseKind.NOT_ACCEPTED: State.PENDING,
    ResponseKind.UNAUTHORIZED: State.PENDING,
    ResponseKind.IN_DOUBT: State.IN_DOUBT,
}


def outcome_of(claim: Claim, answer: Response, at: float, options: DeliveryOptions) -> Outcome:
    """The outcome of a claimed row; PENDING means that it is to be tried again."""
    state = _STATES[answer.fate]
    code = reason_code(answer)
    attempts = claim.attempts + 1
    if state is State.IN_DOUBT and options.resend_doubtful:
        state = State.PENDING if attempts < options.max_attempts else State.FAILED
        code = code if state is State.PENDING else "failed.attempts"
    elif state is State.REFUSED and claim.doubtful:
        # What the API says now does not tell what it did then: no other run is to send this row by itself.
        state, code = State.FAILED, "failed.refused"
    return Outcome(
        id=claim.id,
        state=state,
        attempts=attempts,
        http_status=answer.status,
        code=code,
        message=answer.message,
        at=at,
        latency=answer.latency,
        maybe_sent=answer.fate is ResponseKind.IN_DOUBT,
    )


def rest(outcome: Outcome) -> float:
    """Seconds before a row in doubt is sent again under ``--on-doubt resend``; doubled with each attempt."""
    return 2.0**outcome.attempts


OUTSIDE = "outside the hours given with --between"
"""What a run waits for at other times."""

GOES_ON = "the same command again goes on where it stopped, and so does `importer resume`"
"""What to do about an end that is nobody's mistake."""


def refusals_hint(words: str) -> str:
    """What to do when the API refuses events one after the other."""
    return (
        f"the API says: {words.rstrip('.')}. If Sender or --endpoint is at fault, set it right, and `importer retry` "
        "sends the refused rows again; otherwise mend the mapping and run it anew"
    )


def enough(most: int) -> Ended:
    """The end of a run that was to send so many events."""
    return Ended(f"{counted(most, 'event')} sent, as asked for", limited=True)


def unreachable(words: str) -> Ended:
    """The end of a run whose API stayed away for too long."""
    return Ended(f"the API could not be reached for as long as --outage-limit allows ({words})", hint=GOES_ON)


def unauthorized(answer: Response) -> Ended:
    """The end of a run whose token the API does not take."""
    return Ended(
        f"the API answered {answer.status}: the token is missing, wrong, revoked or expired",
        hint="put a valid token into SENDER_API_TOKEN or the --token-file, then run the same command again",
        unauthorized=True,
    )
