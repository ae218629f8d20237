"""LangChain: a plain answer, a stream and a tool, told as one JSON object."""

import json

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"18 degrees in {city}"


chat = ChatOpenAI(model="openai/gpt-4o-mini", max_retries=0)
plain = chat.invoke("Hello, who are you?")
chunks = list(ChatOpenAI(model="openai/gpt-4o-mini", stream_usage=True).stream("Hello, who are you?"))
asked = chat.bind_tools([get_weather]).invoke("What is the weather in Paris?")
result = get_weather.invoke(asked.tool_calls[0])
told = chat.bind_tools([get_weather]).invoke([("user", "What is the weather in Paris?"), asked, result])

print(
    json.dumps(
        {
            "plain": plain.content,
            "usage": plain.usage_metadata["total_tokens"],
            "stream": "".join(chunk.content for chunk in chunks),
            "chunks": len(chunks),
            "streamed_usage": next(c.usage_metadata["total_tokens"] for c in chunks if c.usage_metadata),
            "tool": asked.tool_calls[0]["name"],
            "told": told.content,
        }
    )
)
