"""Values: made once, never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_T]) -> type[_T]:
    """
    A dataclass of values, equal and hashed by what they hold.

    That nobody changes one is for the type checker to see. To have Python see to it as well makes each of them four
    times as dear to make, and a call makes some thirty.
    """
    return dataclass(unsafe_hash=True)(cls)
