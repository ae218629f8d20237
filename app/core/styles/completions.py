"""The older completions of OpenAI: a prompt in, its continuation out."""

from __future__ import annotations

from app.core import forms
from app.core.errors import Json
from app.core.forms import Field, Kind
from app.core.styles.chat import Chat
from app.core.styles.fields import positive

_PROMPT = Field(
    "prompt",
    Kind(
        "a text, or a list of texts or tokens",
        {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]},
        lambda value: isinstance(value, str) or (isinstance(value, list) and bool(value)),
    ),
    "What is to be continued.",
    is_needed=True,
)


class Completions(Chat):
    """
    POST /completions.

    Answers and events are those of a chat but for the choices, which hold `text`. OpenRouter's specification has
    forgotten this style; its documentation and the recorded answers name it still.
    """

    endpoint = "/completions"
    talk = None
    roles = ()
    fields = (
        _PROMPT,
        Field("n", forms.ANYTHING, "How many answers are given for each prompt."),
        Field("best_of", forms.ANYTHING, "How many answers are made for each prompt, and billed."),
    )
    demands = ()
    chunk = "text_completion"
    nothing: dict[str, Json] = {"text": ""}
    failed: dict[str, Json] = {"text": ""}

    def check(self, body: dict[str, Json]) -> None:
        """A prompt: a text, several, or tokens."""
        _PROMPT.of(body)

    def answers(self, body: dict[str, Json]) -> int:
        """n for each prompt."""
        return self.prompts(body) * (positive(body.get("n")) or 1)

    def billed(self, body: dict[str, Json]) -> int:
        """Of best_of answers only n are given, and all are made."""
        return self.prompts(body) * max(positive(body.get("n")) or 1, positive(body.get("best_of")) or 1)

    def prompts(self, body: dict[str, Json]) -> int:
        """A list holds several, unless it is one prompt's tokens."""
        return count_of(body.get("prompt"))

    def says(self, choice: dict[str, Json]) -> bool:
        """Text, or reasoning beside it."""
        return bool(choice.get("text") or choice.get("reasoning"))

    def piece(self, choice: dict[str, Json]) -> dict[str, Json]:
        """The text."""
        return {name: choice[name] for name in ("text", "logprobs", "reasoning") if choice.get(name) is not None}


def count_of(prompt: Json) -> int:
    """How many prompts these are: one text, one list of tokens, or a list of either."""
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


COMPLETIONS = Completions()
