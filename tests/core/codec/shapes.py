"""Types that the codec tests send, in a module where other processes could find them."""

import dataclasses
import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pydantic.dataclasses
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, field_validator

from horsies.codec import JsonValue


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    TEXT = "x"
    NUMBER = 1
    FRACTION = 1.5
    NOTHING = None
    YES = False


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Rights(enum.Flag):
    LOOK = 1
    TOUCH = 2


class Line(BaseModel):
    name: str
    amount: float = 1.0
    note: str | None = None


class Order(BaseModel):
    id: int
    lines: list[Line] = []
    at: datetime | None = None


class BigOrder(Order):
    surplus: int = 7


class Renamed(BaseModel):
    user_name: str = Field(alias="userName")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return self.a * 2


class Raw(BaseModel):
    body: bytes
    anything: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


class Picky(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def _check(cls, value: int) -> int:
        if value < 0:
            raise TypeError("negative")
        return value


class Numbers(RootModel[list[int]]):
    pass


class Box[T](BaseModel):
    value: T


class Tree(BaseModel):
    name: str
    children: "list[Tree]" = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    loud: bool = True


type Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Kennel(BaseModel):
    pets: list[Pet]
    best: Cat | Dog | None = Field(None, discriminator="kind")


class WithJson(BaseModel):
    data: JsonValue


@dataclass
class Point:
    x: int
    y: float = 0.0
    raw: bytes = b"\xff"


@dataclass
class Point3(Point):
    z: int = 3


@dataclass
class Counted:
    a: int
    seen: int = dataclasses.field(init=False, default=0)


@pydantic.dataclasses.dataclass(config=ConfigDict(extra="forbid"))
class Strict:
    a: int
    seen: int = dataclasses.field(init=False, default=0)


@dataclass
class Pair[T]:
    first: T
    rest: "Pair[T] | None" = None


class Options(TypedDict):
    name: str
    raw: NotRequired[bytes]


class Place(NamedTuple):
    street: str
    owner: Order | None = None
    raw: bytes = b"\xfe"


class Outer:
    class Inner(BaseModel):
        a: int = 1


type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type Nested[T] = T | list[Nested[T]]
type Anyhow = dict[str, Anyhow] | list[Any]
