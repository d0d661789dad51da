"""Structs from JSON, by the types of their fields: exact, or refused with the path of what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

T = TypeVar("T")
_Decoder = Callable[[Any], Any]
_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
_LARGEST = 2**63


class WrongTypeError(ValueError):
    """A value of another type than its field. The message starts with its path."""

    def __init__(self, problem: str, *path: str | int) -> None:
        super().__init__(f"{'.'.join(map(str, path))} {problem}".strip())
        self.problem = problem
        self.path = path

    def below(self, key: str | int) -> WrongTypeError:
        return WrongTypeError(self.problem, key, *self.path)


def decoded(cls: type[T], value: Any, name: Callable[[str], str] = str) -> T:
    """An instance of a struct; `name` gives the key of a field. Raises WrongTypeError.

    A field with a default may be missing.
    """
    result: T = _decoder(cls, name)(value)  # type: ignore[arg-type]
    return result


@cache
def _decoder(hint: Any, name: Callable[[str], str]) -> _Decoder:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if origin in {Union, UnionType}:
        inner = _decoder(next(a for a in arguments if a is not type(None)), name)
        return lambda value: None if value is None else inner(value)
    if origin in {tuple, frozenset}:
        return _list_of(origin, _decoder(arguments[0], name))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_of(_decoder(arguments[1], name))
    if issubclass(hint, Struct):
        return _struct_of(hint, name)
    if issubclass(hint, Enum):
        return _enum_of(hint)
    return lambda value: _plain(hint, value)


def _plain(cls: type, value: Any) -> Any:
    if type(value) is not cls and not (cls is float and type(value) is int):
        raise WrongTypeError(f"is not {_WORDS[cls]}")
    if type(value) is int and not -_LARGEST <= value < _LARGEST:
        raise WrongTypeError("is too large")
    return value


def _enum_of(cls: type[Enum]) -> _Decoder:
    plain = int if issubclass(cls, IntEnum) else str

    def decode(value: Any) -> Any:
        try:
            return cls(_plain(plain, value))
        except WrongTypeError:
            raise
        except ValueError:
            raise WrongTypeError("is not one of " + ", ".join(str(m.value) for m in cls)) from None

    return decode


def _list_of(made: Callable[[list[Any]], Any], inner: _Decoder) -> _Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise WrongTypeError("is not a list")
        result = []
        for number, item in enumerate(value):
            try:
                result.append(inner(item))
            except WrongTypeError as error:
                raise error.below(number) from None
        return made(result)

    return decode


def _mapping_of(inner: _Decoder) -> _Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise WrongTypeError("is not an object")
        result = {}
        for key, item in value.items():
            try:
                result[key] = inner(item)
            except WrongTypeError as error:
                raise error.below(key) from None
        return result

    return decode


def _struct_of(cls: type[Struct], name: Callable[[str], str]) -> _Decoder:
    hints = get_type_hints(cls, localns={"Json": Any})
    known = {name(f.name): (f, _decoder(hints[f.name], name)) for f in fields(cls)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise WrongTypeError("is not an object")
        for key in value:
            if key not in known:
                raise WrongTypeError("is not known", key)
        read = {}
        for key, (field, inner) in known.items():
            if key in value:
                try:
                    read[field.name] = inner(value[key])
                except WrongTypeError as error:
                    raise error.below(key) from None
            elif field.required:
                raise WrongTypeError("is missing", key)
        return cls(**read)

    return decode
