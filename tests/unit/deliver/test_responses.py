"""The design's table of fates, cell by cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.deliver.responses import LONGEST_MESSAGE, classify, reason_code, unanswered
from importer.model import Response, ResponseKind
from importer.reasons import REASONS

CREATED = b'{"success": true, "message": "Event created"}'
INVALID = (
    b'{"message": "The given data was invalid.", "errors": '
    b'{"email": ["The email must be valid.", "The email is too long."], "type": ["Required."]}}'
)


def judge(status: int, body: bytes = b"", *, complete: bool = True) -> Response:
    return classify(status, {}, body, complete=complete, latency=0.1, wall=0.0)


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("body", [CREATED, b'{"success":true}', b'{"message":"Event created"}', b"{}", b' {"a":[1]}\n'])
def test_an_object_that_does_not_deny_success_is_sent(status: int, body: bytes) -> None:
    answer = judge(status, body)
    assert (answer.kind, answer.message, reason_code(answer)) == (ResponseKind.SENT, "", "")


@pytest.mark.parametrize("status", [200, 201])
def test_success_false_is_a_refusal_in_the_apis_own_words(status: int) -> None:
    answer = judge(status, b'{"success": false, "message": "No such subscriber"}')
    assert (answer.kind, answer.message, reason_code(answer)) == (
        ResponseKind.REFUSED,
        "No such subscriber",
        "api.refused",
    )
    assert judge(status, b'{"success": false}').message == f"HTTP {status}, success: false"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Welcome to the hotel's network</body></html>",
        b'{"success": tr',
        b"[]",
        b"null",
        b"true",
        b'"success"',
        b"\xff\xfe",
        b'{"success": null}',
        b'{"success": 0}',
        b'{"success": "false"}',
        b'{"errors": {"email": ["Required."]}}',
        b'{"error": "Something went wrong."}',
        b'{"success": false, "success": true}',
        b'{"success": true, "message": "x", "success": false}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_success_that_cannot_be_understood_is_in_doubt(body: bytes) -> None:
    answer = judge(200, body)
    assert answer.kind is ResponseKind.IN_DOUBT
    assert reason_code(answer) == "doubt.unreadable"
    assert answer.message.startswith("HTTP 200, but the answer ")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"success": true, "success": true}', ResponseKind.SENT),
        (b'{"success": true, "data": {"success": false}}', ResponseKind.SENT),
        (b'{"success": false, "data": [{"success": true}]}', ResponseKind.REFUSED),
    ],
)
def test_only_the_outermost_word_on_success_counts_and_it_may_be_said_twice(body: bytes, kind: ResponseKind) -> None:
    assert judge(200, body).kind is kind


def test_a_success_that_is_cut_short_is_in_doubt_though_what_came_can_be_read() -> None:
    answer = judge(200, CREATED, complete=False)
    assert (answer.kind, answer.message) == (ResponseKind.IN_DOUBT, "HTTP 200, but the answer is cut short or too long")


@pytest.mark.parametrize("status", [100, 101, 103, 202, 203, 204, 206, 226, 300, 301, 302, 303, 304, 307, 308, 408])
def test_what_nobody_documented_is_in_doubt(status: int) -> None:
    """Even a body that claims success proves nothing there."""
    answer = judge(status, CREATED)
    assert (answer.kind, reason_code(answer)) == (ResponseKind.IN_DOUBT, "doubt.unreadable")
    assert answer.message


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert judge(302).message == "HTTP 302: a redirect, which is not followed; is --endpoint right?"


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 410, 413, 415, 418, 419, 422, 423, 431, 451, 499])
def test_client_errors_are_refusals(status: int) -> None:
    answer = judge(status, INVALID)
    assert (answer.kind, reason_code(answer)) == (ResponseKind.REFUSED, "api.refused")
    assert answer.message == (
        "The given data was invalid. email: The email must be valid. The email is too long. type: Required."
    )


@pytest.mark.parametrize("complete", [True, False])
def test_a_refusal_without_words_is_told_by_its_status(complete: bool) -> None:
    assert judge(404, complete=complete).message == "HTTP 404"
    assert judge(404, b"<h1>Not <b>found</b></h1><script>x()</script>").message == "HTTP 404: Not found"
    assert judge(400, complete=complete).kind is ResponseKind.REFUSED


@pytest.mark.parametrize("status", [401, 403])
def test_the_token_is_the_problem_not_the_row(status: int) -> None:
    answer = judge(status, b'{"message": "Unauthenticated."}')
    assert (answer.kind, answer.message, reason_code(answer)) == (ResponseKind.UNAUTHORIZED, "Unauthenticated.", "")


@pytest.mark.parametrize("status", [425, 429])
def test_what_was_turned_away_is_surely_not_accepted(status: int) -> None:
    answer = judge(status, b'{"message": "Too Many Attempts."}')
    assert (answer.kind, reason_code(answer)) == (ResponseKind.NOT_ACCEPTED, "")


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 530, 599, 999])
def test_a_failing_server_leaves_the_row_in_doubt(status: int) -> None:
    answer = judge(status, b"<html>Bad gateway</html>")
    assert (answer.kind, reason_code(answer)) == (ResponseKind.IN_DOUBT, "doubt.server_error")


def test_no_answer_is_in_doubt_only_if_the_request_may_have_left() -> None:
    lost = unanswered("the connection was lost", may_have_left=True, latency=1.0)
    never = unanswered("no connection", may_have_left=False, latency=1.0)
    assert (lost.kind, lost.status, reason_code(lost)) == (ResponseKind.IN_DOUBT, None, "doubt.no_answer")
    assert (never.kind, never.status, reason_code(never)) == (ResponseKind.NOT_ACCEPTED, None, "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": ["a", {"b": 1}]}', 'HTTP 422: {"message": ["a", {"b": 1}]}'),
        (b'{"message": "no", "errors": ["a", "b"]}', "no a b"),
        (b'{"errors": {"a": {"b": [1, null]}}}', 'a: {"b":[1,null]}'),
        (b'{"errors": "all wrong"}', "all wrong"),
        (b'{"error": "invalid_type"}', "invalid_type"),
        (b'{"message": "two\\nlines\\u001b[31m \\u202e"}', "two lines [31m"),
        (b'{"message": "lone \\ud800"}', 'HTTP 422: {"message": "lone \\ud800"}'),
    ],
)
def test_the_apis_words_come_flat_and_harmless(body: bytes, words: str) -> None:
    """On one line, without control characters that could move a terminal's cursor or turn text around."""
    assert judge(422, body).message == words


def test_long_words_are_shortened() -> None:
    answer = judge(422, b'{"message": "' + b"x" * 1000 + b'"}')
    assert len(answer.message) == LONGEST_MESSAGE
    assert answer.message.endswith("x…")


def test_the_quotas_headers_come_along() -> None:
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30", "Retry-After": "31"}
    answer = classify(429, headers, b"", complete=True, latency=0.1, wall=0.0)
    assert (answer.limit, answer.remaining, answer.reset_in, answer.retry_after) == (60, 0, 30.0, 31.0)


@given(status=st.integers(0, 1000), body=st.binary(max_size=200), complete=st.booleans())
def test_every_answer_has_a_fate(status: int, body: bytes, complete: bool) -> None:
    """Nothing raises; what is not sent has words; sent is only ever said of a complete 200 or 201."""
    answer = judge(status, body, complete=complete)
    assert answer.kind is not ResponseKind.SENT or (status in (200, 201) and complete)
    assert bool(answer.message) == (answer.kind is not ResponseKind.SENT)
    assert reason_code(answer) == "" or reason_code(answer) in REASONS


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"data": [{"email": "someone@example.com"}]}', ResponseKind.SENT),
        (200, b"<html>", ResponseKind.NOT_ACCEPTED),
        (401, b"", ResponseKind.UNAUTHORIZED),
        (403, b"", ResponseKind.UNAUTHORIZED),
        (429, b"", ResponseKind.NOT_ACCEPTED),
        (302, b"", ResponseKind.NOT_ACCEPTED),
        (503, b"", ResponseKind.NOT_ACCEPTED),
    ],
)
def test_a_probe_is_never_in_doubt_and_repeats_no_subscriber(status: int, body: bytes, kind: ResponseKind) -> None:
    answer = classify(status, {}, body, latency=0.1, wall=0.0, probe=True)
    assert answer.kind is kind
    assert "someone" not in answer.message
