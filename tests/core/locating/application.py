"""An application for the modules that the tests of this directory write and import."""


class Application:
    """Stands in for `Horsies`: the functions work on any wanted class."""

    def __init__(self, label: str = "") -> None:
        self.label = label

    def __eq__(self, other: object) -> bool:
        raise AssertionError("applications are compared by identity")

    __hash__ = object.__hash__
