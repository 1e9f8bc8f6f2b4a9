"""Untyped positions: plain JSON data, plus dates, models and dataclasses as small tagged objects.

A tag names a class, and decoding looks that class up among the loaded modules: it never imports anything.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import date, datetime, time
from enum import Enum
from types import ModuleType
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError

from horsies.codec.problems import StrictJsonError, reason_of, type_name
from horsies.codec.strict import TAG_KEY, is_builtin_code, is_reserved, reserved_key_error

type Tag = tuple[str, str | None, object]
"""A tagged object taken apart: name, class (or None), value."""

_AS_THEY_ARE = frozenset((str, int, bool, type(None)))
_TIMES: dict[str, Callable[[str], object]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
_TIME_KEYS = frozenset((TAG_KEY, "v"))
_CLASS_KEYS = frozenset((TAG_KEY, "c", "v"))


class ClassCodec(Protocol):
    """What is needed to carry the instances of one class."""

    def encode_data(self, value: object) -> Any:
        """A value as JSON data."""
        ...

    def decode_data(self, data: object) -> Any:
        """JSON data as a value."""
        ...


class UntypedCodec:
    """Carries values whose declared type says nothing about them."""

    __slots__ = ("_class_codec", "_class_names")

    def __init__(self, class_codec: Callable[[type], ClassCodec]) -> None:
        self._class_codec = class_codec
        self._class_names: dict[type, str] = {}

    def encode(self, value: object) -> Any:
        """A value as JSON data with tags.

        Raises:
            StrictJsonError: It is, or holds, something that cannot travel undeclared.
        """
        try:
            return self._encode(value)
        except RecursionError:
            raise StrictJsonError("the value is nested too deeply, or contains itself") from None
        except StrictJsonError:
            # The fast walk does not know where it is; the slow one finds the place for the message.
            self._blame(value, "")
            raise

    def decode(self, data: object) -> Any:
        """JSON data with tags as a value.

        Raises:
            StrictJsonError: A tag is malformed, names an unknown class or holds what does not fit it.
        """
        shaped, values = self.take_out(data)
        return put_back(shaped, values, set()) if values else data

    def take_out(self, data: object, *, codes_allowed: bool = False) -> tuple[Any, list[Any]]:
        """Replace every tagged object by its number, so that the places where tags count can be told from others.

        Args:
            data: JSON data that may hold tags.
            codes_allowed: As for `refuse_reserved_keys`.

        Returns:
            The data with `{"__h_tag__": <number>}` in place of tags, and the decoded values by number.

        Raises:
            StrictJsonError: A tag cannot be decoded, or another reserved key was found.
        """
        tags: list[Tag] = []
        shaped = _number_tags(data, tags, codes_allowed)
        return shaped, [self._decode_tag(*tag) for tag in tags]

    def _encode(self, value: object) -> Any:
        # Most of what travels is plain; it is told apart before anything is called.
        encode = self._encode
        if isinstance(value, dict):
            encoded: dict[str, Any] = {}
            for key, item in cast("dict[Any, object]", value).items():
                if type(key) is not str or key[:2] == "__":
                    key = _text_key(key)
                encoded[key] = item if type(item) in _AS_THEY_ARE else encode(item)
            return encoded
        if isinstance(value, list):
            return [
                item if type(item) in _AS_THEY_ARE else encode(item) for item in cast("list[object]", value)
            ]
        if type(value) in _AS_THEY_ARE or (type(value) is float and math.isfinite(value)):
            return value
        return self._encode_other(value)

    def _encode_other(self, value: object) -> Any:
        if isinstance(value, Enum):
            raise _refusal(value, "enum member")
        if isinstance(value, float):
            if not math.isfinite(value):
                raise StrictJsonError(f"{value!r} has no place in JSON; send None or a text instead")
            return value
        if isinstance(value, datetime):
            return {TAG_KEY: "datetime", "v": _iso_text(value)}
        if isinstance(value, date):
            return {TAG_KEY: "date", "v": value.isoformat()}
        if isinstance(value, time):
            return {TAG_KEY: "time", "v": _iso_text(value)}
        if isinstance(value, BaseModel):
            return self._encode_instance("model", value)
        if is_dataclass(value) and not isinstance(value, type):
            return self._encode_instance("dataclass", value)
        if isinstance(value, str | int):
            return value
        raise _refusal(value, "value")

    def _encode_instance(self, name: str, value: object) -> Any:
        kind = type(value)
        class_name = self._class_names.get(kind)
        if class_name is None:
            class_name = self._class_names[kind] = _travelling_name(kind)
        return {TAG_KEY: name, "c": class_name, "v": self._fields_of(kind, value)}

    def _fields_of(self, kind: type, value: object) -> Any:
        try:
            return self._class_codec(kind).encode_data(value)
        except (StrictJsonError, ValidationError) as error:
            raise StrictJsonError(f"{type_name(kind)} cannot be sent: {reason_of(error)}") from error

    def _blame(self, value: object, place: str) -> None:
        if isinstance(value, dict):
            for key, item in cast("dict[object, object]", value).items():
                try:
                    _text_key(key)
                except StrictJsonError as error:
                    raise _placed(error, place) from error.__cause__
                self._blame(item, f"{place}[{key!r}]")
        elif isinstance(value, list):
            for index, item in enumerate(cast("list[object]", value)):
                self._blame(item, f"{place}[{index}]")
        else:
            try:
                self._encode(value)
            except StrictJsonError as error:
                raise _placed(error, place) from error.__cause__

    def _decode_tag(self, name: str, class_name: str | None, value: object) -> Any:
        if class_name is None:
            return _decode_time(name, value)
        kind = _loaded_class(name, class_name)
        try:
            return self._class_codec(kind).decode_data(value)
        except (StrictJsonError, ValidationError) as error:
            raise StrictJsonError(f"the stored {class_name} cannot be read: {reason_of(error)}") from error


def put_back(data: object, values: list[Any], used: set[int]) -> Any:
    """Put decoded values in the places that `UntypedCodec.take_out` numbered.

    Args:
        data: What `take_out` left.
        values: The values by number.
        used: Gets the numbers that were met.
    """
    if isinstance(data, list):
        return [put_back(item, values, used) for item in cast("list[object]", data)]
    if isinstance(data, dict):
        fields = cast("dict[str, object]", data)
        if TAG_KEY in fields:
            number = cast("int", fields[TAG_KEY])
            used.add(number)
            return values[number]
        return {key: put_back(item, values, used) for key, item in fields.items()}
    return data


def _number_tags(data: object, tags: list[Tag], codes_allowed: bool) -> Any:
    if isinstance(data, list):
        return [_number_tags(item, tags, codes_allowed) for item in cast("list[object]", data)]
    if not isinstance(data, dict):
        return data
    fields = cast("dict[str, object]", data)
    if TAG_KEY in fields:
        tags.append(_read_tag(fields))
        return {TAG_KEY: len(tags) - 1}
    shaped: dict[str, Any] = {}
    for key, item in fields.items():
        if key[:2] == "__" and is_reserved(key):
            raise reserved_key_error(key)
        is_code = codes_allowed and key == "error_code" and is_builtin_code(item)
        shaped[key] = item if is_code else _number_tags(item, tags, codes_allowed)
    return shaped


def _read_tag(fields: dict[str, object]) -> Tag:
    name = fields[TAG_KEY]
    if isinstance(name, str) and name in _TIMES:
        if fields.keys() != _TIME_KEYS:
            raise StrictJsonError(f"a {name} tag has the keys {TAG_KEY} and v, not {', '.join(fields)}")
        return name, None, fields["v"]
    if not isinstance(name, str) or name not in ("model", "dataclass"):
        raise StrictJsonError(f"{name!r} is no known tag")
    if fields.keys() != _CLASS_KEYS:
        raise StrictJsonError(f"a {name} tag has the keys {TAG_KEY}, c and v, not {', '.join(fields)}")
    class_name = fields["c"]
    if not isinstance(class_name, str):
        raise StrictJsonError(f"the class of a {name} tag is a text, not {type(class_name).__name__}")
    return name, class_name, fields["v"]


def _iso_text(moment: datetime | time) -> str:
    offset = moment.utcoffset()
    if offset is not None and offset.microseconds:
        # Python itself writes such an offset, and reads some of them back as UTC.
        raise StrictJsonError(
            f"a UTC offset of {offset} has fractions of a second, which do not travel; use astimezone(UTC) first"
        )
    return moment.isoformat()


def _decode_time(name: str, value: object) -> object:
    if not isinstance(value, str):
        raise StrictJsonError(f"the value of a {name} tag is ISO 8601 text, not {type(value).__name__}")
    try:
        return _TIMES[name](value)
    except ValueError as error:
        raise StrictJsonError(f"the value of a {name} tag is no ISO 8601 {name}: {error}") from error


def _text_key(key: object) -> str:
    if not isinstance(key, str) or isinstance(key, Enum):
        raise StrictJsonError(
            f"the key {key!r} is {type_name(type(key))}, and JSON objects have text keys; "
            "convert it with str(), or declare the type of the dict"
        )
    if key[:2] == "__" and is_reserved(key):
        raise reserved_key_error(key)
    return key


def _refusal(value: object, what: str) -> StrictJsonError:
    return StrictJsonError(
        f"this {what} of type {type_name(type(value))} cannot be sent at a position without a type: it would not "
        "come back the same; declare the type, or convert the value"
    )


def _placed(error: StrictJsonError, place: str) -> StrictJsonError:
    return StrictJsonError(f"{error} (at {place})") if place else error


def _travelling_name(kind: type) -> str:
    module, path = kind.__module__, kind.__qualname__
    advice = "; declare the type, or convert the value"
    if module == "__main__" or "<locals>" in path:
        where = "in __main__" if module == "__main__" else "inside a function"
        raise StrictJsonError(
            f"{type_name(kind)} is defined {where}, where no other process can find it; move it to a module{advice}"
        )
    if _find(module, path) is not kind:
        raise StrictJsonError(f"{type_name(kind)} cannot be found by its name {module}:{path}{advice}")
    return f"{module}:{path}"


def _loaded_class(tag: str, class_name: str) -> type:
    module, _, path = class_name.partition(":")
    found = _find(module, path)
    if found is None or found.__module__ != module or found.__qualname__ != path:
        raise StrictJsonError(f"the class {class_name!r} is not loaded in this process; import its module")
    if tag == "model" and not (issubclass(found, BaseModel) and found is not BaseModel):
        raise StrictJsonError(f"the class {class_name!r} is no Pydantic model")
    if tag == "dataclass" and not is_dataclass(found):
        raise StrictJsonError(f"the class {class_name!r} is no dataclass")
    return found


def _find(module: str, path: str) -> type | None:
    # Only what already stands in a namespace counts: getattr would run a module's own __getattr__, which may import.
    place: object = sys.modules.get(module)
    for name in path.split("."):
        if not isinstance(place, ModuleType | type):
            return None
        place = vars(place).get(name)
    return place if isinstance(place, type) else None
