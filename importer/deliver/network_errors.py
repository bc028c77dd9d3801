"""What went wrong on the way to the API, in the user's words."""

from __future__ import annotations

import errno
import os

import aiohttp

from importer.deliver.connections import SpokeUnaskedError

OUT_OF_HANDLES = (errno.EMFILE, errno.ENFILE)
_UNKNOWN_AUTHORITY = "is signed by an authority that this machine does not know; --ca-file FILE names another"
_CERTIFICATE = {
    # OpenSSL's X509_V_ERR_* codes
    9: "is not valid yet; is this machine's clock right?",
    10: "has expired",
    18: "is self-signed; if it is yours, name it with --ca-file",
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: "is for another host",
    64: "is for another host",
}


def error_number(error: BaseException) -> int | None:
    """The system's own number of an error, or of what caused it."""
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number > 0 else None


def explain(error: Exception, host: str, *, connect_timeout: float, answer_timeout: float, proxy: str = "") -> str:
    """One sentence; never the text of an error that could hold the request. ``proxy`` is its name, if one is used."""
    through = f" through the proxy {proxy}" if proxy else ""
    if error_number(error) in OUT_OF_HANDLES:
        return "this process has no file handle left for another connection; raise the limit (ulimit -n)"
    why = _reason(error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words.format(
                host=host,
                proxy=proxy,
                through=through,
                why=why,
                status=getattr(error, "status", ""),
                certificate=_certificate(getattr(error, "certificate_error", error)),
                no_tls=_no_tls(error) or why,
                connect_timeout=connect_timeout,
                answer_timeout=answer_timeout,
            )
    return f"the request failed: {type(error).__name__}"


_WORDS: tuple[tuple[type[Exception], str], ...] = (  # the special before the general
    (aiohttp.ClientProxyConnectionError, "no connection to the proxy {proxy}: {why}"),
    (aiohttp.ClientHttpProxyError, "the proxy {proxy} answered {status} instead of connecting to {host}"),
    (aiohttp.ClientConnectorDNSError, "the name {host} cannot be resolved: {why}"),
    (aiohttp.ClientConnectorCertificateError, "the certificate of {host}{through} {certificate}"),
    (aiohttp.ClientConnectorSSLError, "no TLS connection to {host}{through}: {no_tls}"),
    (aiohttp.ClientConnectorError, "no connection to {host}{through}: {why}"),
    (aiohttp.ConnectionTimeoutError, "no connection to {host}{through} within {connect_timeout:g} s"),
    (TimeoutError, "no whole answer within {answer_timeout:g} s"),
    (SpokeUnaskedError, "{host} keeps sending data before any request"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (OSError, "the connection was lost: {why}"),
    (aiohttp.ClientConnectionError, "the connection was lost"),
)


def _reason(error: Exception) -> str:
    if (number := error_number(error)) is not None:
        return os.strerror(number)  # asyncio's own texts show addresses as tuples
    return getattr(error, "strerror", None) or type(error).__name__


def _certificate(error: Exception) -> str:
    code = getattr(error, "verify_code", None)
    text = getattr(error, "verify_message", None) or "cannot be verified"
    return _CERTIFICATE.get(code, f"is not trusted: {text}") if isinstance(code, int) else "is not trusted"


def _no_tls(error: Exception) -> str:
    """Where the other side speaks no TLS at all, OpenSSL complains of the version or of the record."""
    cause = getattr(error, "os_error", error)
    reason = getattr(cause, "reason", None) or ""
    return "it does not speak TLS on this port" if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"} else ""
