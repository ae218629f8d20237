"""OpenAI's embeddings: texts in, vectors out, nothing streamed and no tokens in the answer."""

from __future__ import annotations

from app.core.errors import GatewayError, Json
from app.core.forms import Field, Kind
from app.core.meter import Reading, text
from app.core.styles.base import Style
from app.core.styles.completions import count_of
from app.core.styles.usage import usage_of

_INPUT = Field(
    "input",
    Kind(
        "a text, or a list of texts or tokens",
        {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
        lambda value: isinstance(value, (str, list)) and bool(value),
    ),
    "What is to be embedded.",
    is_needed=True,
)
_NO_STREAM = Field(
    "stream",
    Kind("left out: embeddings are not streamed", {"const": False}, lambda value: value is False),
    "Embeddings are not streamed.",
)


class Embeddings(Style):
    """POST /embeddings."""

    endpoint = "/embeddings"
    talk = "input"
    fields = (_INPUT, _NO_STREAM)
    parts = "data"
    streams = False
    catalogue = "/embeddings/models"

    def check(self, body: dict[str, Json]) -> None:
        """Something to embed, and no stream."""
        _INPUT.of(body)
        _NO_STREAM.of(body)

    def billed(self, body: dict[str, Json]) -> int:
        """Vectors have no tokens."""
        return 0

    def prompts(self, body: dict[str, Json]) -> int:
        """Each input is one."""
        return count_of(body.get("input"))

    def note(self, reading: Reading, event: dict[str, Json]) -> None:
        """There is only the whole answer."""
        reading.generation_id = reading.generation_id or text(event.get("id"))
        reading.model = text(event.get("model")) or reading.model
        reading.provider = text(event.get("provider")) or reading.provider
        if isinstance(event.get("usage"), dict):
            reading.usage = usage_of(event["usage"])
        reading.error = event.get("error") or reading.error
        reading.has_content |= bool(self.said(event))

    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """There are no streams to end."""
        raise AssertionError("embeddings are not streamed")


EMBEDDINGS = Embeddings()
