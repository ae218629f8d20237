"""Addresses that programs ask by mistake, and what they should be told."""

from __future__ import annotations

import re

_FOREIGN = {
    "Ollama's interface": re.compile(
        r"(?:/v1)?/api/(?:tags|version|generate|chat|show|ps|embed|embeddings|pull|push|create|copy|delete|blobs/.*)"
    ),
    "Google's interface": re.compile(r"(?:/v1)?/v1(?:beta|alpha)(?:/.*)?"),
    "Azure's interface": re.compile(r"(?:/v1)?/openai/.*"),
    "LM Studio's interface": re.compile(r"/api/v0/.*"),
}
_DOUBLED = re.compile(r"/(?:api/openrouter|api/v1|v1)(?:/api)?/(?:v1|openrouter)(?:/.*)?")
_WHOLE = re.compile(r".*/(chat/completions|messages|responses)/(?:v1/)?(?:chat/completions|messages|responses|models)")
_BARE = re.compile(r"/(?:chat/completions|completions|messages(?:/.*)?|responses(?:/.*)?|embeddings|models(?:/.*)?)")
_BASE = re.compile(r"/(?:api|api/openrouter|api/v1|v1)?/?")
_OTHER_WORK = re.compile(
    r"/(?:api/openrouter|api/v1|v1)/((?:audio|images|videos|files|batches|rerank|moderations)\b).*"
)

_SPEAK = "OpenAI's is at /v1, OpenRouter's at /api/v1, Anthropic's at the address without a path"


def foreign(path: str) -> str | None:
    """Whose interface this address is of, if it is another one that programs probe for."""
    return next((name for name, pattern in _FOREIGN.items() if pattern.fullmatch(path)), None)


def hint(path: str) -> str | None:
    """What to tell a program that asked this address, where there is nothing; None when nobody knows what it meant."""
    name = foreign(path)
    if name is not None:
        return f"{name} is not spoken here. {_SPEAK}; choose such a provider in the program."
    if _DOUBLED.fullmatch(path):
        return (
            "The path stands in this address twice: the program adds /v1 itself. Give it the gateway's address "
            "without a path."
        )
    whole = _WHOLE.fullmatch(path)
    if whole:
        return f"The program adds its path to the address by itself: leave /{whole[1]} out of the address you give it."
    if _BARE.fullmatch(path):
        return f"The address misses its first part: {_SPEAK}. Most programs want it to end in /v1."
    if _BASE.fullmatch(path):
        return "This is the gateway; programs ask below /v1, such as /v1/models. See: orgate connect"
    if path.endswith("/"):
        return "There is nothing at this address; leave out the slash at its end."
    other = _OTHER_WORK.fullmatch(path)
    if other:
        return f"The gateway does not relay {other[1]}; ask OpenRouter itself for that."
    return None
