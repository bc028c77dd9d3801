"""What a response makes of its row, and in which words a run ends early."""

from __future__ import annotations

from importer.deliver.options import DeliveryOptions, StopReason
from importer.deliver.responses import reason_code
from importer.errors import ImporterError
from importer.model import Claim, Outcome, Response, ResponseKind, State
from importer.wording import counted

_STATES = {
    ResponseKind.SENT: State.SENT,
    ResponseKind.REFUSED: State.REFUSED,
    ResponseKind.NOT_ACCEPTED: State.PENDING,
    ResponseKind.UNAUTHORIZED: State.PENDING,
    ResponseKind.IN_DOUBT: State.IN_DOUBT,
}
GOES_ON = "the same command again goes on where it stopped, and so does `importer resume`"
"""What to do about an end that is not the row's fault."""


def outcome_of(claim: Claim, response: Response, at: float, options: DeliveryOptions) -> Outcome:
    """The outcome of a claimed row; PENDING means that it is to be tried again.

    Only attempts that may have been accepted, or were judged, count as attempts.
    """
    state = _STATES[response.fate]
    code = reason_code(response)
    attempts = claim.attempts + (state is not State.PENDING)
    maybe_sent = response.fate is ResponseKind.IN_DOUBT
    if maybe_sent and options.resend_doubtful:
        state = State.PENDING if attempts < options.max_attempts else State.FAILED
        code = code if state is State.PENDING else "failed.attempts"
    elif state is State.REFUSED and claim.maybe_sent:
        # The API's answer now does not show what it did then: no other run is to send this row by itself.
        state, code = State.FAILED, "failed.refused"
    return Outcome(
        id=claim.id,
        state=state,
        attempts=attempts,
        http_status=response.status,
        code=code,
        message=response.message,
        at=at,
        latency=response.latency,
        maybe_sent=maybe_sent,
    )


def unsent(claim: Claim, at: float) -> Outcome:
    """The outcome of a claim that never left."""
    return Outcome(claim.id, State.PENDING, claim.attempts, http_status=None, code="", message="", at=at)


def retry_wait(outcome: Outcome) -> float:
    """Seconds before a row in doubt is sent again under ``--on-doubt resend``; doubled with each attempt."""
    return 2.0 ** max(outcome.attempts, 1)


def enough(most: int) -> StopReason:
    """The end of a run that was to send so many events."""
    return StopReason(f"{counted(most, 'event')} sent, as asked for", limited=True)


def refused(reason: str, response: Response) -> StopReason:
    """The end of a run whose events the API refuses one after the other."""
    words = response.message.rstrip(".")
    hint = (
        f"the API says: {words}. If Sender or --endpoint is at fault, set it right, and `importer retry` sends the"
        " refused rows again; otherwise fix the mapping and run it anew"
    )
    return StopReason(reason, hint=hint)


def turned_away(count: int, response: Response) -> StopReason:
    """The end of a run some of whose rows the API does not take now, while it takes others."""
    said = f"{response.status}: {response.message}"
    return StopReason(
        f"the API turned {counted(count, 'row')} away each time ({said}), while it took others", hint=GOES_ON
    )


def unreachable(words: str) -> StopReason:
    """The end of a run whose API stayed away for too long."""
    return StopReason(f"the API could not be reached for as long as --outage-limit allows ({words})", hint=GOES_ON)


def unauthorized(response: Response) -> StopReason:
    """The end of a run whose token the API does not take."""
    return StopReason(
        f"the API answered {response.status}: the token is missing, wrong, revoked or expired",
        hint="put a valid token into SENDER_API_TOKEN or the --token-file, then run the same command again",
        unauthorized=True,
    )


def unwatched(error: Exception) -> StopReason:
    """The end of a run whose progress cannot be shown or measured any more."""
    words = error.message if isinstance(error, ImporterError) else str(error)
    return StopReason(f"progress cannot be shown any more: {words or type(error).__name__}", hint=GOES_ON)
