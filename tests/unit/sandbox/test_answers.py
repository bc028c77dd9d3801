"""What a real HTTP client gets for what it asks, and what the record then holds."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from importer.errors import UsageError
from importer.sandbox import SandboxOptions, start
from importer.sandbox.server import Sandbox

from .conftest import EVENT, TOKEN, Calling

Recorded = Callable[[], list[dict[str, Any]]]


async def test_a_good_event_gets_the_pages_own_answer(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        assert (reply.status, reply.body) == (200, b'{"success": true, "message": "Event created"}')
        assert reply.headers["Content-Type"] == "application/json"
        assert abs((parsedate_to_datetime(reply.headers["Date"]) - datetime.now(UTC)).total_seconds()) < 60
        assert (sandbox.accepted, sandbox.requests, dict(sandbox.statuses)) == (1, 1, {200: 1})


@pytest.mark.parametrize(
    "named",
    [{"phone": "+1xxxxxxxxx"}, {"email": "[email protected]", "phone": "+1xxxxxxxxx"}],
    ids=["javascript", "curl"],
)
async def test_the_pages_own_examples_get_the_pages_own_answer(calling: Calling, named: dict[str, str]) -> None:
    """As they are there, placeholders and all; nothing like them passes otherwise."""
    pasted = {**EVENT, "subscriber": {"id": "Qmp2g5", **named}}
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.post(pasted)
        assert (reply.status, reply.json) == (200, {"success": True, "message": "Event created"})
        assert (await caller.post({**EVENT, "subscriber": {"phone": "+1xxxxxxxxxx"}})).status == 422


async def test_a_broken_rule_gets_422_with_its_field(calling: Calling, event: dict[str, Any]) -> None:
    event["subscriber"]["email"] = "nobody"
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.post(event)
        assert reply.status == 422
        assert reply.json == {
            "message": "The given data was invalid.",
            "errors": {"subscriber.email": ["The subscriber.email must be a valid e-mail address."]},
        }
        assert sandbox.accepted == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is not JSON: Input data was truncated."),
        (b"", "The body is not JSON: Input data was truncated."),
        (b"[]", "The body must be a JSON object."),
        (b'"x"', "The body must be a JSON object."),
    ],
)
async def test_a_body_that_is_no_json_object_gets_400(calling: Calling, body: bytes, message: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.post_bytes(body)
        assert (reply.status, reply.json) == (400, {"success": False, "message": message})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_another_content_type_gets_400(calling: Calling, content_type: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.post_bytes(json.dumps(EVENT).encode(), content_type)
        assert reply.status == 400
        assert reply.json["message"] == "The Content-Type must be application/json."


async def test_a_charset_beside_the_content_type_is_fine(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        assert (await caller.post_bytes(json.dumps(EVENT).encode(), "Application/JSON; charset=utf-8")).status == 200


@pytest.mark.parametrize("path", ["/v2/events", "/v2/subscribers"])
@pytest.mark.parametrize("token", [None, "wrong", "rehearsal-and-more"])
async def test_without_the_token_everything_gets_401(calling: Calling, path: str, token: str | None) -> None:
    async with Sandbox(SandboxOptions(tokens=(TOKEN,))) as sandbox, calling(sandbox) as caller:
        method = "POST" if path == "/v2/events" else "GET"
        reply = await caller.request(method, path, token=token, json=EVENT)
        assert (reply.status, reply.json) == (401, {"success": False, "message": "Unauthenticated."})
        assert sandbox.accepted == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/events"), ("PUT", "/v2/events"), ("POST", "/v2/subscribers"), ("POST", "/v2/events/"),
     ("POST", "/v1/events"), ("POST", "/V2/events"), ("GET", "/index.html")],
)  # fmt: skip
async def test_what_does_not_exist_gets_404(calling: Calling, method: str, path: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.request(method, path, json=EVENT)
        assert (reply.status, reply.json) == (404, {"success": False, "message": "Resource not found."})


async def test_the_probe_lists_subscribers_and_changes_nothing(calling: Calling) -> None:
    async with Sandbox() as sandbox, calling(sandbox) as caller:
        reply = await caller.request("GET", "/v2/subscribers?page=1")
        assert reply.status == 200
        assert set(reply.json) == {"data", "links", "meta"}
        assert sandbox.accepted == 0


async def test_a_made_up_token_is_long_and_new_each_time() -> None:
    async with Sandbox() as one, Sandbox() as other:
        assert len(one.token) >= 32
        assert one.token != other.token


async def test_the_record_holds_each_body_byte_for_byte_in_order(
    calling: Calling, tmp_path: Path, recorded: Recorded
) -> None:
    events = tmp_path / "events.jsonl"
    bodies = [f'{{"type":"žuvis","value":1.{n}0,"subscriber":{{"id":"{n}"}}}}'.encode() for n in range(20)]
    async with Sandbox(SandboxOptions(events=str(events))) as sandbox, calling(sandbox) as caller:
        for body in bodies:
            assert (await caller.post_bytes(body)).status == 200
            assert events.read_bytes().splitlines()[-1].endswith(b',"event":' + body + b"}")
    assert [line["n"] for line in recorded()] == list(range(1, 21))
    stamps = [datetime.fromisoformat(line["received_at"]) for line in recorded()]
    assert stamps == sorted(stamps)
    assert events.stat().st_mode & 0o077 == 0


async def test_a_body_on_several_lines_is_recorded_on_one(calling: Calling, tmp_path: Path, recorded: Recorded) -> None:
    body = b'\r\n{\n  "type": "a\\nb",\n  "value": 1.50,\n "subscriber": {"id": "x"}}\n'
    async with Sandbox(SandboxOptions(events=str(tmp_path / "events.jsonl"))) as sandbox, calling(sandbox) as caller:
        assert (await caller.post_bytes(body)).status == 200
    assert [line["event"] for line in recorded()] == [json.loads(body)]
    assert b'"value":1.50' in (tmp_path / "events.jsonl").read_bytes()


async def test_a_refused_event_is_not_recorded(calling: Calling, tmp_path: Path, recorded: Recorded) -> None:
    async with Sandbox(SandboxOptions(events=str(tmp_path / "events.jsonl"))) as sandbox, calling(sandbox) as caller:
        await caller.post({"type": "order"})
        await caller.post(token="wrong")
    assert recorded() == []


async def test_a_second_sandbox_appends_and_goes_on_counting(
    calling: Calling, tmp_path: Path, recorded: Recorded
) -> None:
    options = SandboxOptions(events=str(tmp_path / "events.jsonl"))
    for _ in range(2):
        async with Sandbox(options) as sandbox, calling(sandbox) as caller:
            await caller.post()
            await caller.post()
            assert sandbox.accepted == 2
    assert [line["n"] for line in recorded()] == [1, 2, 3, 4]


async def test_a_record_that_cannot_be_written_is_no_acceptance(
    calling: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    """/dev/full is a disk without room."""
    async with Sandbox(SandboxOptions(events="/dev/full")) as sandbox, calling(sandbox) as caller:
        reply = await caller.post()
        assert reply.status == 500
        assert reply.json["message"] == "The sandbox cannot write its record of events."
        assert sandbox.accepted == 0
    assert "cannot write its record: No space left on device" in caplog.text


async def test_a_record_in_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "events.jsonl"
    with pytest.raises(UsageError) as caught:
        async with Sandbox(SandboxOptions(events=str(path))):
            pass
    assert caught.value.message == f"--events: cannot write to {path}: No such file or directory"


async def test_a_taken_port_is_named() -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(UsageError) as caught:
            async with Sandbox(SandboxOptions(port=sandbox.port)):
                pass
    assert caught.value.message == f"--port: cannot listen on 127.0.0.1:{sandbox.port}: Address already in use"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": 70_000}, "--port: 70000 is not a port"),
        ({"limit": -1}, "--limit: -1 is below zero"),
        ({"latency": -0.1}, "--latency: -0.1 is below zero"),
        ({"tokens": ("a b",)}, "--token: it holds a blank or a character that no HTTP header can carry"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        SandboxOptions(**wrong)
    assert caught.value.message == message


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_pages_own_answer_to_the_pages_own_example() -> None:
    """With a real phone and address where the page has placeholders; a long body makes curl wait for 100."""
    for example in (EVENT, EVENT | {"properties": {"long": "x" * 2_000}, "note": "y" * 20_000}):
        with start(SandboxOptions(tokens=(TOKEN,))) as sandbox:
            command = ["curl", "-sS", "-X", "POST", sandbox.url + "events", "-H", f"Authorization: Bearer {TOKEN}"]
            command += ["-H", "Content-Type: application/json", "-H", "Accept: application/json"]
            answer = subprocess.run([*command, "-d", json.dumps(example)], capture_output=True, text=True, check=True)
            assert answer.stdout == '{"success": true, "message": "Event created"}'
