"""How the text of a setting becomes its value; each reader raises ValueError with what is wrong and what to do."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

GET_A_KEY = "https://openrouter.ai/settings/keys"
OPENROUTER = "openrouter.ai"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_KEY = re.compile(r"sk-or-[A-Za-z0-9._~+/=-]{1,500}")
"""The characters of a bearer token (RFC 6750 §2.1): no other could be sent, and the log's redactor knows them."""

_COPY_THE_DSN = "copy https://PUBLIC_KEY@HOST/PROJECT_ID from the project's settings"
_RATE = re.compile(r"[1-9]\d{0,8} ?(per|/) ?([1-9]\d{0,5} ?)?(second|minute|hour|day)s?", re.IGNORECASE | re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TAKEN_HEADERS = {"authorization", "content-type", "content-length", "host", "transfer-encoding", "connection"}


def text(value: str) -> str:
    """Plain ASCII, fit for a header."""
    if not all(" " <= character <= "~" for character in value):
        raise ValueError("holds characters that no HTTP header can carry; use plain ASCII")
    return value


def key(value: str) -> str:
    """An OpenRouter key without the white space around it; raises ValueError without repeating it."""
    value = value.strip().lstrip("\ufeff").strip()
    if value[:1] in "\"'" and value[:1]:
        raise ValueError("stands in quotes; remove them")
    if not value.startswith("sk-or-"):
        raise ValueError(f"does not start with sk-or-; copy the whole key from {GET_A_KEY}")
    if not _KEY.fullmatch(value):
        raise ValueError("has a space, a line break or another odd character inside; copy it again in one piece")
    return value


def base_url(value: str) -> str:
    """An address that the key may be sent to."""
    parts = _address(value)
    if parts is None or parts.username or parts.password or "?" in value or "#" in value:
        raise ValueError(f"is no plain address; use https://{OPENROUTER}/api/v1")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must start with https:// (http:// is for loopback only), or the key would travel in the open")
    return value.rstrip("/")


def proxy(value: str) -> str:
    """A proxy's address."""
    parts = _address(value)
    if parts is None or parts.scheme not in ("http", "https"):
        raise ValueError("is no proxy address; use http://host:port")
    return value


def site(value: str) -> str:
    """A web address, fit for a header."""
    parts = _address(value)
    if parts is None or parts.scheme not in ("http", "https"):
        raise ValueError("must be an address such as https://example.org")
    return text(value)


def dsn(value: str) -> str:
    """A Sentry DSN: the address of a project, with its public key for a user name."""
    parts = _address(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.username or "?" in value or "#" in value:
        raise ValueError(f"is no Sentry DSN; {_COPY_THE_DSN}")
    if not re.fullmatch(r"(/[\w.-]+)*/\d{1,20}", parts.path, re.ASCII):
        raise ValueError(f"names no project; {_COPY_THE_DSN}")
    return value


def file(value: str) -> str:
    """A file that exists."""
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError("names the home of nobody") from None
    if not path.is_file():
        raise ValueError("names no file")
    return str(path)


def command(value: str) -> tuple[str, ...]:
    """A program of this machine and its arguments, as a shell would take them apart."""
    try:
        words = shlex.split(value)
        program = shutil.which(Path(words[0]).expanduser()) if words else None
    except (ValueError, RuntimeError):
        raise ValueError("cannot be taken apart; quotes come in pairs") from None
    if program is None:
        raise ValueError("names no program that can be run here; give its whole path")
    return (program, *words[1:])


def milliseconds(value: str) -> int:
    """A duration in ms."""
    if not _is_within(value, 1, 10**10):
        raise ValueError("takes whole milliseconds, for example 300000 for 5 minutes")
    return int(value)


def interval(value: str) -> int | None:
    """A pause in ms, or None for "false"."""
    if value.lower() in ("false", "off", "no", "0"):
        return None
    try:
        interval = milliseconds(value)
    except ValueError:
        interval = 0
    if interval < 1000:
        raise ValueError('takes milliseconds, 1000 or more, or "false"')
    return interval


def seconds(value: str) -> float:
    """A duration in s."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value) or float(value) <= 0:
        raise ValueError("takes seconds, for example 60")
    return float(value)


def port(value: str) -> int:
    """A TCP port."""
    if not _is_within(value, 0, 65535):
        raise ValueError("takes a port number, 0 to 65535 (0 picks a free one)")
    return int(value)


def host(value: str) -> str:
    """A host name or address, without brackets."""
    name = value[1:-1] if value[:1] + value[-1:] == "[]" else value
    if name != value or not re.fullmatch(r"[A-Za-z0-9.-]+", value):
        try:
            ipaddress.IPv6Address(name)
        except ValueError:
            raise ValueError("takes a host name or an address, without a port") from None
    return name


def count(value: str) -> int:
    """A small whole number."""
    if not _is_within(value, 1, 10_000):
        raise ValueError("takes a whole number from 1 to 10000")
    return int(value)


def processes(value: str) -> int:
    """How many processes."""
    if not _is_within(value, 1, 64):
        raise ValueError("takes a whole number from 1 to 64; more than the machine has cores is of no use")
    if int(value) > 1 and sys.platform == "win32":
        raise ValueError("takes 1 on Windows, where processes cannot share what they listen at")
    return int(value)


def rate(value: str) -> str:
    """A quota in the words of Flask-Limiter."""
    if not _RATE.fullmatch(" ".join(value.split())):
        raise ValueError('takes a quota such as "30 per minute" or "100 per 10 seconds"')
    return " ".join(value.split())


def names(value: str) -> tuple[str, ...]:
    """Words between commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def hosts(value: str) -> tuple[str, ...]:
    """Host names, with or without a port."""
    found = tuple(name.lower().rstrip(".") for name in names(value))
    if not all(re.fullmatch(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", name) for name in found):
        raise ValueError("takes host names separated by commas, each with or without :port")
    return found


def origins(value: str) -> tuple[str, ...]:
    """Web origins (RFC 6454)."""
    found = names(value)
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/*]+", name) for name in found):
        raise ValueError('takes origins separated by commas, such as app://notes or http://localhost:3000; never "*"')
    return found


def headers(value: str) -> Mapping[str, str]:
    """Headers by name."""
    try:
        headers = json.loads(value)
    except (ValueError, RecursionError):
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(held, str) for held in headers.values()):
        raise ValueError('takes a JSON object of strings, such as {"X-Custom-Header": "custom-value"}')
    for name, held in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _TAKEN_HEADERS or not _HEADER_VALUE.fullmatch(held):
            raise ValueError("holds a header that cannot be sent (a reserved name, or a value that is not plain ASCII)")
    return headers


def dollars(value: str) -> tuple[int, ...]:
    """Amounts in nano-dollars, the largest first."""
    marks = names(value)
    if not marks or not all(re.fullmatch(r"\d{1,6}(\.\d{1,9})?", mark) for mark in marks):
        raise ValueError("takes dollars separated by commas, such as 5,1")
    whole = [(mark.partition(".")[0], mark.partition(".")[2].ljust(9, "0")) for mark in marks]
    return tuple(sorted((int(dollars) * 10**9 + int(nanos) for dollars, nanos in whole), reverse=True))


def amount(value: str) -> int:
    """One amount in nano-dollars, more than 0."""
    try:
        [found] = dollars(value)
    except ValueError:
        found = 0
    if not found:
        raise ValueError("takes one amount in dollars, more than 0, such as 1 or 0.50")
    return found


def one_of(*names: str) -> Callable[[str], str]:
    """A reader that takes one of these words."""

    def read(value: str) -> str:
        if value.lower() not in names:
            raise ValueError(f"takes one of: {', '.join(names)}")
        return value.lower()

    return read


def namespaces(value: str) -> tuple[str, ...]:
    """Our namespaces among those of DEBUG."""
    # Other programs use DEBUG as well; what is not ours is left to them.
    return tuple(name for name in re.split(r"[\s,]+", value) if name.startswith("openrouter:"))


def days(value: str) -> int:
    """A number of days, from a week to thirty years."""
    if not _is_within(value, 7, 10_950):
        raise ValueError("takes days, at least 7")
    return int(value)


def characters(value: str) -> int:
    """A number of characters."""
    if not _is_within(value, 1, 10**9):
        raise ValueError("takes a whole number of characters, for example 10000")
    return int(value)


def _is_within(value: str, least: int, most: int) -> bool:
    return value.isdecimal() and len(value) <= 20 and least <= int(value) <= most


def _address(value: str) -> SplitResult | None:
    """The parts of an address with a host, None when it is none: urlsplit's own messages would repeat a password."""
    try:
        parts = urlsplit(value)
        return parts if parts.hostname and parts.port != 0 and not re.search(r"\s", value) else None
    except ValueError:
        return None
