"""HTTP to one service: whom it may reach, the token, time-outs, and what is tried again."""

import ipaddress
import json
import logging
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from mialib.audit.meter import Meter
from mialib.core import checks

log = logging.getLogger(__name__)

TRIED_AGAIN = (429, 503)
FIRST_WAIT = 0.5  # seconds, doubled from one try to the next
LONGEST_WAIT = 60.0  # seconds, whatever a service asks for
LONGEST_TIMEOUT = 86_400.0
EXCERPT = 200  # characters of an answer that an error shows
READABLE = 10_000  # bytes of it that are looked at


class ServiceFailed(OSError):
    """A service refused, failed, or could not be reached: the message has its URL, the status and what it said."""


class BadAnswer(ValueError):
    """A service answered something that cannot be what was asked for."""


class Reply(NamedTuple):
    """What came back. url, what (was asked for), text (of a traceback, its last line) and location: as they may be shown."""

    url: str
    what: str
    status: int
    content: bytes
    text: str
    location: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def excerpt(self) -> str:
        return self.text[:EXCERPT]

    def checked(self) -> "Reply":
        """Itself; ServiceFailed if it is a refusal."""
        if self.ok:
            return self
        moved = f" (it points to {self.location}; redirects are not followed)" if 300 <= self.status < 400 else ""
        raise ServiceFailed(f"{self.url} answered status {self.status}{moved}, asked for {self.what}: {self.excerpt}")

    def json(self) -> Any:
        """The JSON value in it; BadAnswer if there is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise BadAnswer(f"expected JSON, got {self.excerpt!r}") from None


class _Lost(NamedTuple):
    """A request without an answer. sent: whether the service may have seen it; error: what ends it at once, or None."""

    why: str
    sent: bool
    error: type[OSError] | None = None
    retry_after: float | None = None


class Connection:
    """Sends requests to the service at `url`, and to no other.

    Tried again, `retries` times at most, with longer and longer waits: statuses 429 and 503 (after Retry-After, if it says so)
    and lost connections. Rows count in the meter when they were answered, or sent when the connection was lost or the time ran
    out; rows that were refused do not.
    """

    def __init__(
        self, url: str, meter: Meter, *, retries: int, timeout: float, token_env: str | None, allow_remote: bool, query: bool
    ) -> None:
        parts = _split(url, query)
        self.loopback = _is_loopback(parts.hostname or "")
        if not checks.flag("allow_remote", allow_remote) and not self.loopback:
            raise ValueError(
                f"url must be on this machine (127.0.0.0/8, ::1 or localhost), got host {parts.hostname}: allow_remote=True "
                "(--allow-remote) sends the records to another one"
            )
        self.retries = checks.whole("retries", retries, 0)
        self.timeout = checks.real("timeout", timeout, 0, LONGEST_TIMEOUT, open_low=True)
        if token_env is not None and (not isinstance(token_env, str) or not token_env.isidentifier()):
            raise ValueError("token_env must be the name of an environment variable (not the token itself)")
        self.token_env = token_env
        self.meter = meter
        self.base = url
        self.shown = f"{parts.scheme}://{parts.netloc}{parts.path}"  # a query may hold a key
        if not self.loopback and parts.scheme == "http":
            log.warning("%s: records%s go there unencrypted", self.shown, " and the token" if token_env else "")
        self.waited, self.sent, self.tried_again = 0.0, 0, 0
        self._session: Any = None

    def send(self, method: str, path: str, what: str, body: Any = None, rows: int = 0) -> Reply:
        """Send `body` (JSON-able) to `path` below the URL; what comes back, whatever its status but 429 and 503.

        what: the request in words, for errors. rows: records in it. Raises BudgetSpent, ServiceFailed, or TimeoutError.
        """
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        shown = _below(self.shown, path)
        for attempt in range(self.retries + 1):
            self.meter.admit(rows)
            self.meter.pace(rows)
            found = self._once(method, path, what, content)
            if found.ok if isinstance(found, Reply) else found.sent:
                self.meter.count(rows)
            if isinstance(found, Reply):
                return found
            why = found.why
            if found.error is not None:
                raise found.error(f"{shown} {why}, asked for {what}")
            if attempt < self.retries:
                self._wait(attempt, found, shown)
        raise ServiceFailed(f"{shown} {why}, asked for {what}, the last of {self.retries + 1} times")

    def _wait(self, attempt: int, lost: _Lost, shown: str) -> None:
        if lost.retry_after is not None:
            seconds = min(lost.retry_after, LONGEST_WAIT) + random.uniform(0, 0.1)
        else:
            seconds = min(FIRST_WAIT * 2 ** min(attempt, 10), LONGEST_WAIT) * random.uniform(0.5, 1)
        log.warning("%s %s: trying again in %.1f s (%d of %d)", shown, lost.why, seconds, attempt + 1, self.retries)
        self.tried_again += 1
        self.meter.pause(seconds)

    def _once(self, method: str, path: str, what: str, content: bytes | None) -> Reply | _Lost:
        """One try. Errors of `requests` end here: they hold the request, and with it the token."""
        import requests  # late: nobody else needs it

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = not self.loopback  # no proxy stands between this machine and itself
        authorise = self._authorisation()
        self.sent += 1
        started = monotonic()
        try:
            response = self._session.request(
                method,
                _below(self.base, path),
                data=content,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                auth=authorise,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except (requests.RequestException, OSError, ValueError) as error:  # urllib3's own are ValueErrors or within requests'
            return _lost(error, self.timeout)
        finally:
            self.waited += monotonic() - started
        if not response.ok:
            self._session.close()  # servers hang up after a failure, and the next request would go down with the connection
        if response.status_code in TRIED_AGAIN:
            after = _retry_after(response.headers.get("Retry-After"))
            said = self.hidden(_telling(response.content))[:EXCERPT]
            return _Lost(f"answered status {response.status_code} ({said})", False, retry_after=after)
        location = self.hidden(response.headers.get("Location", "").partition("?")[0])
        text = self.hidden(_telling(response.content))
        return Reply(_below(self.shown, path), what, response.status_code, response.content, text, location)

    def _authorisation(self) -> Callable[[Any], Any]:
        """What puts the token into a request (and keeps `requests` from putting in what a .netrc holds)."""
        token = None if self.token_env is None else self._token()

        def authorise(request: Any) -> Any:
            if token is not None:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        return authorise

    def _token(self) -> str:
        token = os.environ.get(str(self.token_env), "")
        if not token:
            raise ValueError(f"token_env names the environment variable {self.token_env}, which is not set")
        if not all("!" <= character <= "~" for character in token):  # the libraries' own errors would show it
            raise ValueError(
                f"the environment variable {self.token_env} must hold a token without blanks, line ends or non-ASCII"
            )
        return token

    def hidden(self, text: str) -> str:
        """A text from the service, without the token if it says that back."""
        token = os.environ.get(self.token_env, "") if self.token_env else ""
        return text.replace(token, "…") if token else text


def _split(url: Any, query: bool) -> SplitResult:
    """The parts of `url`, checked; an error never shows a user name, a password or a query."""
    checks.instance("url", url, str)
    if any(not "!" <= character <= "~" for character in url) or "\\" in url:
        raise ValueError("url must be plain ASCII without blanks, backslashes or control characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"url must be an address like http://127.0.0.1:8080 ({error})") from None
    if parts.username is not None or "@" in parts.netloc:
        raise ValueError(f"url must hold no user name or password, got one for {parts.hostname}: a token goes into token_env")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url must begin with http:// or https:// and a host, got {url.partition('?')[0]!r}")
    if parts.fragment or "#" in url:
        raise ValueError("url must have no fragment (#…)")
    if parts.query and not query:
        raise ValueError("url must have no query (?…): the protocol adds its own paths to it")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host) in LOOPBACK[ipaddress.ip_address(host).version]
    except ValueError:
        return False


LOOPBACK = {4: ipaddress.ip_network("127.0.0.0/8"), 6: ipaddress.ip_network("::1/128")}


def _below(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{path}" if path else base


def _telling(content: bytes) -> str:
    """The beginning of what a service says, or the last line of a traceback."""
    lines = content[-READABLE:].decode(errors="replace").split("\n") if content.startswith(b"Traceback") else []
    return next((line for line in reversed(lines) if line.strip()), "") or content[:READABLE].decode(errors="replace")


def _lost(error: Exception, timeout: float) -> _Lost:
    """What an error of `requests` means. Its own text is not handed on: it holds the whole URL."""
    import requests
    from urllib3.exceptions import NewConnectionError, ReadTimeoutError

    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(error, requests.Timeout) or isinstance(reason, ReadTimeoutError):
        connecting = isinstance(error, requests.ConnectTimeout)
        return _Lost(f"gave no answer within timeout = {timeout:g} s", not connecting, TimeoutError)
    if isinstance(error, requests.exceptions.SSLError):
        return _Lost("could not be reached: its certificate is not accepted (SSLError)", False, ServiceFailed)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        if isinstance(reason, NewConnectionError):
            return _Lost("could not be reached", False)
        return _Lost(f"lost the connection ({type(reason or error).__name__})", True)
    return _Lost(f"could not be asked ({type(error).__name__})", False, ServiceFailed)


def _retry_after(said: str | None) -> float | None:
    """Seconds that Retry-After asks for (a number, or a date); None if it says nothing that can be read."""
    if said is None:
        return None
    if said.strip().isdecimal():
        return float(said)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
