from __future__ import annotations

import json

import pytest

from app.sandbox.schema import instance

TREE = {
    "$defs": {
        "node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 3}, 3),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": ["null", "integer"], "minimum": 4}, 4),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, 0.75),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "pattern": "^[0-9]{4}$"}, "0000"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"anyOf": [{"type": "null"}, {"type": "integer", "multipleOf": 5}]}, 5),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "object"}}, "required": ["b"]},
            {"b": {}},
        ),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}}], "type": "object"}, {"a": 1}),
    ],
)
def test_small_instances(schema, value):
    """
    Each keyword is honoured by the smallest value that satisfies it.
    """
    assert value == instance(schema)


def test_recursion_ends():
    """
    A schema that refers to itself has a finite instance.
    """
    assert len(json.dumps(instance(TREE))) < 2000


def test_the_answer_obeys_the_schema(ask):
    """
    A request with a JSON schema is answered with JSON of that schema, a json_object with an object.
    """
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 9}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    shaped = ask(response_format=wanted).json()["choices"][0]["message"]["content"]
    loose = ask(response_format={"type": "json_object"}).json()["choices"][0]["message"]["content"]

    assert {"n": 9} == json.loads(shaped)
    assert isinstance(json.loads(loose), dict)
