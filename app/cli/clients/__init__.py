"""The programs that `orgate connect` and `orgate run` know, one file each."""

from __future__ import annotations

from app.cli.clients import (
    aider,
    claude,
    cline,
    codex,
    continuedev,
    curl,
    librechat,
    llm,
    node,
    open_webui,
    opencode,
    python,
    sh,
    zed,
)
from app.cli.clients.client import Client

CLIENTS: dict[str, Client] = {
    module.CLIENT.name: module.CLIENT
    for module in (
        claude,
        codex,
        opencode,
        aider,
        continuedev,
        cline,
        zed,
        llm,
        librechat,
        open_webui,
        python,
        node,
        curl,
        sh,
    )
}
"""Name → client, in the order in which they are listed."""

OTHER_NAMES = {"claude-code": "claude", "openwebui": "open-webui", "python3": "python"}
"""What a client may be called beside its name."""
