"""The Tokens port: JSON Web Tokens (RFC 7519, HS256) and the record of those that count."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jwt

from app.adapters.statefiles import locked, signature, write_private
from app.core.errors import Json, Unauthenticated, Unavailable
from app.core.frozen import frozen
from app.core.grants import Grant

_ISSUER = "orgate"
_MAX_LENGTH = 4096
_SECRET_BYTES = 32
_MOST_VERIFIED = 256
_MAX_LIFE_S = 366 * 86400
_CLAIMS = ["sub", "aud", "iss", "iat", "exp", "jti"]
_HINT = "Get one with: orgate token issue NAME"


@frozen
class _Verified:
    """What a token says whose signature was checked once; nothing about it can change but the time."""

    id: str
    app: str
    expires_at: int


class TokenBook:
    """
    Signs and checks tokens with a secret of 32 random bytes, made on first use.

    Every token is on record in one file that other processes may change: revoking needs no restart.
    """

    def __init__(self, folder: Path) -> None:
        self._secret_file = folder / "secret"
        self._book_file = folder / "tokens.json"
        self._lock_file = folder / "tokens.lock"
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._grants: dict[str, Grant] = {}
        self._secret = b""
        self._verified: dict[str, _Verified] = {}

    def issue(self, grant: Grant) -> str:
        """The signed token for this grant, which is on record from now on."""
        with locked(self._lock_file, wait=True):
            self._write([*self._read(), grant])
        return self.sign(grant)

    def sign(self, grant: Grant) -> str:
        """The token of a grant; the same one every time, since nothing but the grant and the secret goes into it."""
        claims = {
            "sub": grant.app,
            "aud": _ISSUER,
            "iss": _ISSUER,
            "iat": grant.issued_at,
            "exp": grant.expires_at,
            "jti": grant.id,
            "scope": " ".join(sorted(grant.scopes)),
        }
        return jwt.encode(claims, self._key(), algorithm="HS256")

    def verify(self, token: str) -> Grant:
        """The grant behind a token; raises Unauthenticated, with a message that helps but tells no secret."""
        known = self._verified.get(token)
        if known is None or known.expires_at <= time.time():
            known = self._verify(token)
        grant = self._find(known.id)
        if grant is None or grant.revoked_at is not None or grant.app != known.app:
            raise Unauthenticated(f"This token was revoked. {_HINT}", code="revoked_token")
        return grant

    def all(self) -> list[Grant]:
        """Every grant on record, oldest first."""
        return self._read()

    def revoke(self, ids: frozenset[str], at: int) -> None:
        """From now on these no longer count, also on open connections."""
        self.change(ids, lambda grant: replace(grant, revoked_at=at) if grant.revoked_at is None else grant)

    def change(self, ids: frozenset[str], update: Callable[[Grant], Grant]) -> list[Grant]:
        """From now on these allow what `update` makes of them, without new tokens; returns the changed ones."""
        with locked(self._lock_file, wait=True):
            grants = [update(grant) if grant.id in ids else grant for grant in self._read()]
            self._write(grants)
        return [grant for grant in grants if grant.id in ids]

    def _verify(self, token: str) -> _Verified:
        claims = self._claims(token)
        known = _Verified(str(claims["jti"]), str(claims["sub"]), int(claims["exp"]))
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[token] = known
        return known

    def _claims(self, token: str) -> dict[str, Json]:
        if len(token) > _MAX_LENGTH:
            raise Unauthenticated(f"That is no token of this gateway. {_HINT}")
        try:
            claims = jwt.decode(
                token,
                self._key(),
                algorithms=["HS256"],
                audience=_ISSUER,
                issuer=_ISSUER,
                options={
                    "require": _CLAIMS,
                    "strict_aud": True,
                    "enforce_minimum_key_length": True,
                    # A clock that was set back must not lock every program out.
                    "verify_iat": False,
                },
            )
            lived_s = claims["exp"] - claims["iat"]
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(f"This token has expired. {_HINT}", code="expired_token") from None
        except Unavailable:
            raise
        except Exception:
            # PyJWT lets foreign errors through for some malformed tokens; none of them is worth more than a 401.
            raise Unauthenticated(f"That is no valid token of this gateway. {_HINT}") from None
        if not 0 < lived_s <= _MAX_LIFE_S:
            raise Unauthenticated(f"This token claims to live too long. {_HINT}")
        return claims

    def _key(self) -> bytes:
        if not self._secret:
            with self._lock, locked(self._lock_file, wait=True):
                if not self._secret_file.exists():
                    write_private(self._secret_file, secrets.token_hex(_SECRET_BYTES).encode())
                self._secret = self._read_secret()
        return self._secret

    def _read_secret(self) -> bytes:
        try:
            secret = bytes.fromhex(self._secret_file.read_text().strip())
        except (OSError, ValueError):
            secret = b""
        if len(secret) < _SECRET_BYTES:
            raise Unavailable(
                "The secret that signs tokens, the file secret in the state folder, cannot be read. Put a good copy "
                "back, or remove it and issue new tokens.",
                code="secret_broken",
            )
        return secret

    def _find(self, id: str) -> Grant | None:
        now = signature(self._book_file)
        if now != self._seen:
            with self._lock:
                self._grants = {grant.id: grant for grant in self._read()}
                self._seen = now
        return self._grants.get(id)

    def _read(self) -> list[Grant]:
        try:
            rows = json.loads(self._book_file.read_bytes())["tokens"]
            return [
                Grant(**{**row, "scopes": frozenset(row["scopes"]), "models": tuple(row.get("models", ()))})
                for row in rows
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError):
            # An empty list in its place would end every token, or make revoked ones count again.
            raise Unavailable(
                f"The record of tokens, {self._book_file.name} in the state folder, cannot be read. Put a good copy "
                "back, or remove it and issue new tokens.",
                code="token_record_broken",
            ) from None

    def _write(self, grants: list[Grant]) -> None:
        rows = [{**vars(grant), "scopes": sorted(grant.scopes)} for grant in grants]
        write_private(self._book_file, json.dumps({"tokens": rows}, indent=1).encode())
