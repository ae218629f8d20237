"""pydantic-ai: a plain answer, a stream, a tool and a structured answer, told as one JSON object."""

import asyncio
import json

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

MODEL = OpenAIChatModel("openai/gpt-4o-mini")


class Person(BaseModel):
    name: str
    age: int


async def main() -> dict[str, object]:
    called = []
    agent = Agent(MODEL)
    plain = await agent.run("Hello, who are you?")
    async with agent.run_stream("Hello, who are you?") as stream:
        pieces = [piece async for piece in stream.stream_text(delta=True, debounce_by=None)]

    helper = Agent(MODEL)

    @helper.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return "18 degrees"

    told = await helper.run("What is the weather in Paris?")
    person = await Agent(MODEL, output_type=Person).run("Who wrote this?")
    return {
        "plain": plain.output,
        "usage": plain.usage.total_tokens if not callable(plain.usage) else plain.usage().total_tokens,
        "stream": "".join(pieces),
        "chunks": len(pieces),
        "tool": len(called),
        "told": told.output,
        "person": sorted(person.output.model_dump()),
    }


print(json.dumps(asyncio.run(main())))
