"""OpenAI's embeddings: texts in, vectors out, nothing streamed and no tokens in the answer."""

from __future__ import annotations

from app.core.errors import BadRequest, GatewayError, Json
from app.core.meter import Reading, text
from app.core.styles.base import Style
from app.core.styles.completions import count_of
from app.core.styles.fields import flag_of
from app.core.styles.usage import usage_of


class Embeddings(Style):
    """POST /embeddings."""

    endpoint = "/embeddings"
    talk = "input"
    catalogue = "/embeddings/models"

    def check(self, body: dict[str, Json]) -> None:
        """Something to embed, and no stream."""
        given = body.get("input")
        if not isinstance(given, (str, list)) or not given:
            raise BadRequest("input must be a text, or a list of texts or tokens.", param="input")
        if flag_of(body, "stream"):
            raise BadRequest("Embeddings are not streamed; leave stream out.", param="stream")

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

    def said(self, answer: dict[str, Json]) -> list[Json] | None:
        """Its vectors."""
        vectors = answer.get("data")
        return vectors if isinstance(vectors, list) else None

    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """There are no streams to end."""
        raise AssertionError("embeddings are not streamed")


EMBEDDINGS = Embeddings()
