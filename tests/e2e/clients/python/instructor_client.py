"""instructor: structured answers by tools and by JSON schema, whole and in parts, told as one JSON object."""

import json

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def ask(mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(), mode=mode)


said = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Who are you?"}], "max_retries": 1}
by_tools = ask(instructor.Mode.TOOLS).chat.completions.create(response_model=Person, **said)
by_schema = ask(instructor.Mode.JSON_SCHEMA).chat.completions.create(response_model=Person, **said)
parts = list(ask(instructor.Mode.TOOLS).chat.completions.create_partial(response_model=Person, **said))

print(
    json.dumps(
        {
            "tools": sorted(by_tools.model_dump()),
            "schema": sorted(by_schema.model_dump()),
            "parts": len(parts),
            "last": sorted(parts[-1].model_dump()),
        }
    )
)
