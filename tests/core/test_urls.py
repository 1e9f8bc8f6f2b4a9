"""Database URLs: accepted forms, libpq's spelling, masking (CF-22, CF-23, CF-24, C-071, R-010)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import ConfigurationError
from horsies.urls import (
    database_url_error,
    dev_database_url,
    is_embedded_url,
    libpq_url,
    mask_password,
    mask_urls_in_text,
    same_database_url,
    with_parameters,
)

SECRET = "hunter2"

ACCEPTED = [
    "postgresql+psycopg://user:pw@localhost:5432/db",
    "postgresql://user:pw@localhost:5432/db",
    "postgres://user:pw@localhost:5432/db",
    "postgresql://localhost",
    "postgresql:///db",
    "postgresql://",
    "postgresql://user@/db?host=/var/run/postgresql",
    "postgresql://user:p%40ss%3Aw%2Ford@host/db",
    "postgresql://user:p:w@host/db",
    "postgresql://a:b@one:5432,two:5433/db?target_session_attrs=read-write",
    "postgresql://user@[::1]:5432/db",
    "postgresql://%2Ftmp%2Fsocket/db",
    "postgresql://host/db?sslmode=require&connect_timeout=5",
]

REFUSED = {
    "": "is empty",
    f"postgresql+asyncpg://user:{SECRET}@host/db": "'asyncpg'",
    f"postgresql+psycopg2://user:{SECRET}@host/db": "'psycopg2'",
    f"postgres+psycopg://user:{SECRET}@host/db": "'psycopg'",
    f"mysql://user:{SECRET}@host/db": "'mysql'",
    f"sqlite:///{SECRET}.db": "'sqlite'",
    f"POSTGRESQL://user:{SECRET}@host/db": "'POSTGRESQL'",
    f"host=localhost password={SECRET}": "white space",
    f"password={SECRET}": "key=value",
    SECRET: "is not a URL",
    f"{SECRET} {SECRET}://host/db": "white space",
    f"user:{SECRET}@host://db": "is not a URL",
    f"postgresql:/user:{SECRET}@host/db": "is not a URL",
    f"postgresql://user:{SECRET}@host/db\n": "white space",
    f"postgresql://user:{SECRET} @host/db": "white space",
    f"postgresql://user:{SECRET}%@host/db": "%25",
    f"postgresql://user:{SECRET}%zz@host/db": "%25",
    f"postgresql://user:{SECRET}%00@host/db": "%25",
    f"postgresql://user:{SECRET}@{SECRET}@host/db": "%40",
    f"postgresql://user:{SECRET}/{SECRET}@host/db": "%2F",
    f"postgresql://user:{SECRET}?{SECRET}@host/db": "%3F",
    "postgresql://host:port/db": "port",
    "postgresql://host:1:2/db": "port",
    "embedded:relative": "embedded:///absolute",
    "embedded:///": "embedded:///absolute",
    "embedded://host/dir": "embedded:///absolute",
    "embedded:/dir": "embedded:///absolute",
}


@pytest.mark.parametrize("url", [*ACCEPTED, "embedded:", "embedded:///var/lib/horsies", "embedded:///data/"])
def test_accepted_urls(url: str) -> None:
    """CF-22."""
    assert database_url_error(url, "database_url") is None


@pytest.mark.parametrize("url", REFUSED)
def test_refused_urls_are_explained_without_their_content(url: str) -> None:
    """CF-22: the help names the accepted forms; the scheme is the most that is shown."""
    error = database_url_error(url, "session_database_url")
    assert isinstance(error, ConfigurationError)
    assert error.code == ErrorCode.BROKER_INVALID_URL
    assert error.message.startswith("session_database_url ")
    assert REFUSED[url] in error.message
    for form in ("postgresql+psycopg://", "postgresql://", "postgres://", "embedded:"):
        assert form in (error.help_text or "")
    assert SECRET not in error.message
    assert SECRET not in (error.help_text or "")


@pytest.mark.parametrize("url", ACCEPTED)
def test_libpq_reads_what_is_accepted(url: str) -> None:
    """CF-22: the three schemes mean the same."""
    as_libpq = libpq_url(url)
    assert as_libpq.startswith("postgresql://")
    conninfo_to_dict(as_libpq)
    assert as_libpq.partition("://")[2] == url.partition("://")[2]


def test_the_three_schemes_are_the_same_url() -> None:
    """CF-22, CF-23."""
    for scheme in ("postgresql+psycopg", "postgres"):
        assert same_database_url(f"{scheme}://u:p@h/d", "postgresql://u:p@h/d")
    assert not same_database_url("postgresql://u:p@h:6432/d", "postgresql://u:p@h:5432/d")


def test_embedded_urls_are_recognised() -> None:
    """CF-22: and left as they are."""
    assert is_embedded_url("embedded:")
    assert is_embedded_url("embedded:///data")
    assert not is_embedded_url("postgresql://embedded:pw@h/d")
    assert libpq_url("embedded:///data") == "embedded:///data"
    assert mask_password("embedded:///data") == "embedded:///data"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:hunter2@host:5432/db", "postgresql://user:****@host:5432/db"),
        ("postgresql+psycopg://user:hunter2@host/db", "postgresql+psycopg://user:****@host/db"),
        ("postgresql://user:hunter2:hunter2@host", "postgresql://user:****@host"),
        ("postgresql://:hunter2@host/db", "postgresql://:****@host/db"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("postgresql://host:5432/db?sslmode=require", "postgresql://host:5432/db?sslmode=require"),
        (
            "postgresql://u@h/d?password=hunter2&sslmode=require",
            "postgresql://u@h/d?password=****&sslmode=require",
        ),
        (
            "postgresql://h/d?sslmode=require&sslpassword=hunter2",
            "postgresql://h/d?sslmode=require&sslpassword=****",
        ),
        ("postgresql://h/d?pass%77ord=hunter2", "postgresql://h/d?pass%77ord=****"),
        ("postgresql://user:hun/ter2@host/db", "postgresql://****"),
        ("postgresql://user:hun@ter2@host/db", "postgresql://****"),
        ("postgresql://user:hun?ter2@host/db", "postgresql://****"),
        ("postgresql://user:12?options=hunter2@host/db", "postgresql://****"),
        ("mysql://user:hunter2@host/db", "mysql://user:****@host/db"),
        ("password=hunter2", "****"),
        ("user:hunter2@host://x", "****"),
        ("", "****"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    """CF-24, R-010."""
    assert mask_password(url) == shown
    assert mask_password(url, "***") == shown.replace("****", "***")


@given(st.text(min_size=4), st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=5))
def test_no_part_of_a_password_survives_masking(password: str, user: str) -> None:
    """CF-24, R-010: also where the password was not percent-encoded."""
    marked = f"QX{password}XQ"
    shown = mask_password(f"postgresql://{user}:{marked}@host/db")
    assert "QX" not in shown
    assert "XQ" not in shown


def test_passwords_in_foreign_text_are_masked() -> None:
    """R-010, C-025."""
    text = "bad value 'postgresql://u:hunter2@h/d' and amqp://a:hunter2@b; see https://example.org/x@y"
    assert mask_urls_in_text(text) == (
        "bad value 'postgresql://u:****@h/d' and amqp://a:****@b; see https://example.org/x@y"
    )


def test_parameters_are_added_to_a_url() -> None:
    """D-007: what the user's URL says already stays."""
    url = with_parameters(
        "postgresql://u:p@h/d?connect_timeout=3", {"connect_timeout": "10", "application_name": "a b&c"}
    )
    assert conninfo_to_dict(url) == {
        "user": "u",
        "password": "p",
        "host": "h",
        "dbname": "d",
        "connect_timeout": "3",
        "application_name": "a b&c",
    }
    assert with_parameters("postgresql://h/d", {}) == "postgresql://h/d"
    assert with_parameters("postgresql://h/d", {"keepalives": "1"}) == "postgresql://h/d?keepalives=1"


@pytest.mark.parametrize(
    ("dev", "url", "used"),
    [
        ("1", "postgresql://dev/db", "postgresql://dev/db"),
        ("1", None, None),
        ("1", "", None),
        (None, "postgresql://dev/db", None),
        ("0", "postgresql://dev/db", None),
        ("", "postgresql://dev/db", None),
    ],
)
def test_the_dev_url_needs_both_variables(
    monkeypatch: pytest.MonkeyPatch, dev: str | None, url: str | None, used: str | None
) -> None:
    """C-071."""
    for name, value in (("HORSIES_DEV", dev), ("HORSIES_DATABASE_URL", url)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert dev_database_url() == used


def test_a_bad_dev_url_is_an_error_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """C-071, CF-22."""
    monkeypatch.setenv("HORSIES_DEV", "1")
    monkeypatch.setenv("HORSIES_DATABASE_URL", f"host=h password={SECRET}")
    with pytest.raises(ConfigurationError, match="HORSIES_DATABASE_URL") as caught:
        dev_database_url()
    assert SECRET not in caught.value.message
