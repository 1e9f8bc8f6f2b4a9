"""Database URLs: which forms are accepted, how libpq wants them, how they are shown without passwords."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError

_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")
_ACCEPTED_FORMS = """\
accepted forms:
  postgresql+psycopg://user:password@host:5432/database
  postgresql://user:password@host:5432/database
  postgres://user:password@host:5432/database
  embedded:               a private PostgreSQL of this machine, for development and tests
  embedded:///directory   the same, its data kept in that directory"""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]*)(:[0-9]*)?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_PASSWORD_IN_TEXT = re.compile(r"(://[^\s:/@'\"]*:)[^\s'\"]*@")
_SECRET_PARAMETERS = frozenset({"password", "sslpassword", "oauth_client_secret"})


def database_url_error(url: str, setting: str) -> ConfigurationError | None:
    """Check that a text is one of the accepted database URLs.

    Args:
        url: the text.
        setting: its name for the message, for example `database_url`.

    Returns:
        The error to raise (HRS-203; of the URL it shows the scheme at most), or None.
    """
    problem = _problem(url)
    if problem is None:
        return None
    return ConfigurationError(
        f"{setting} {problem}", code=ErrorCode.BROKER_INVALID_URL, help_text=_ACCEPTED_FORMS
    )


def is_embedded_url(url: str) -> bool:
    """Whether the URL asks for a private PostgreSQL (`embedded:`, `embedded:///directory`)."""
    return url.startswith("embedded:")


def libpq_url(url: str) -> str:
    """Write an accepted PostgreSQL URL the way libpq reads it: `postgresql://...`."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql://{rest}" if separator and scheme in _SCHEMES else url


def same_database_url(first: str, second: str) -> bool:
    """Whether two URLs are the same apart from the spelling of their scheme."""
    return libpq_url(first) == libpq_url(second)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Add connection parameters to a libpq URL; those it already has stay as they are."""
    base, _, query = url.partition("?")
    present = {unquote(part.partition("=")[0]) for part in query.split("&")}
    added = [f"{name}={quote(value, safe='')}" for name, value in parameters.items() if name not in present]
    parts = [query, *added] if query else added
    return f"{base}?{'&'.join(parts)}" if parts else base


def mask_password(url: str, mask: str = "****") -> str:
    """Give a URL to show to people: every password in it is replaced by the mask.

    Args:
        url: any text; one that does not look like a URL is shown as the mask alone.
        mask: what stands in for a password.
    """
    if is_embedded_url(url):
        return url
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return mask
    location, question, query = rest.partition("?")
    if _problem(f"postgresql://{rest}") is not None or ("@" in query and "@" not in location):
        return f"{scheme}://{mask}"  # no telling where a password ends
    user, at, location = location.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name}{colon}{mask}{at}{location}" if colon else f"{user}{at}{location}"
    parameters = "&".join(_mask_parameter(part, mask) for part in query.split("&"))
    return f"{scheme}://{shown}{question}{parameters}"


def mask_urls_in_text(text: str, mask: str = "****") -> str:
    """Replace the passwords of all URLs in a text somebody else wrote, such as an exception's message."""
    return _PASSWORD_IN_TEXT.sub(rf"\g<1>{mask}@", text)


def dev_database_url() -> str | None:
    """Give the URL that `horsies dev` put in place of the configured one, or None outside of `horsies dev`.

    Raises:
        ConfigurationError: HRS-203, `HORSIES_DATABASE_URL` is not a database URL.
    """
    url = os.environ.get("HORSIES_DATABASE_URL")
    if not url or os.environ.get("HORSIES_DEV") != "1":
        return None
    error = database_url_error(url, "HORSIES_DATABASE_URL")
    if error is not None:
        raise error
    return url


def _problem(url: str) -> str | None:
    if not url:
        return "is empty"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "holds white space or control characters; in a URL they are percent-encoded (a space is %20)"
    if is_embedded_url(url):
        well_formed = url == "embedded:" or re.fullmatch(r"embedded:///[^?#]*[^/?#]/?", url)
        return (
            None
            if well_formed
            else "names no directory after 'embedded:'; write embedded:///absolute/directory"
        )
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "is not a URL" if "=" not in url else "is a key=value connection string, not a URL"
    if scheme not in _SCHEMES:
        return _scheme_problem(scheme)
    return _content_problem(rest)


def _scheme_problem(scheme: str) -> str:
    if not _SCHEME.fullmatch(scheme):
        return "is not a URL"
    dialect, plus, driver = scheme.partition("+")
    if plus and dialect in _SCHEMES:
        return f"asks for the driver {driver!r} ({scheme}://); horsies talks to PostgreSQL through psycopg 3"
    return f"has the scheme {scheme!r}, which is not PostgreSQL's"


def _content_problem(rest: str) -> str | None:
    if _BAD_PERCENT.search(rest):
        return "holds a '%' that is not followed by two hexadecimal digits; write a percent sign as %25"
    location, question, query = rest.partition("?")
    if question and not all("=" in part for part in query.split("&")):
        return "has a parameter without '=' after its '?'; in a password, write '?' as %3F"
    authority, _, path = location.partition("/")
    hosts = authority.rpartition("@")[2] if authority.count("@") <= 1 else "@"
    if "@" in path or not all(_HOST_AND_PORT.fullmatch(host) for host in hosts.split(",")):
        return "has no readable host and port; in a password, write '@' as %40, ':' as %3A and '/' as %2F"
    return None


def _mask_parameter(part: str, mask: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={mask}" if equals and unquote(name).lower() in _SECRET_PARAMETERS else part
