"""The registry of tasks (01 section 3: T-23, T-24)."""

from pathlib import Path

import pytest

from horsies.errors.catalogue import ErrorCode
from horsies.errors.diagnostic import DuplicateTaskNameError, NotRegistered, RegistryError, SourceLocation
from horsies.registry import Registry

HERE = SourceLocation("/shop/tasks.py", 31)


def test_names_come_back_in_the_order_of_registration() -> None:
    registry = Registry[int]()
    for number, name in enumerate(("pack", "bill", "ship")):
        assert registry.register(name, number, SourceLocation("/shop/tasks.py", number)) == number
    assert list(registry) == ["pack", "bill", "ship"]
    assert len(registry) == 3
    assert dict(registry) == {"pack": 0, "bill": 1, "ship": 2}


def test_the_same_place_gives_the_first_registration_back() -> None:
    """T-24: a re-import is no error."""
    registry = Registry[str]()
    first = registry.register("pack", "first", HERE)
    assert registry.register("pack", "second", SourceLocation(HERE.file, HERE.line)) is first
    assert registry["pack"] == "first"


def test_a_link_to_the_same_file_is_the_same_place(tmp_path: Path) -> None:
    """T-24."""
    (tmp_path / "tasks.py").touch()
    (tmp_path / "link.py").symlink_to(tmp_path / "tasks.py")
    registry = Registry[str]()
    registry.register("pack", "first", SourceLocation(str(tmp_path / "tasks.py"), 3))
    assert registry.register("pack", "second", SourceLocation(str(tmp_path / "link.py"), 3)) == "first"


@pytest.mark.parametrize("place", [SourceLocation("/shop/tasks.py", 32), SourceLocation("/b.py", 31), None])
def test_another_place_is_a_duplicate(place: SourceLocation | None) -> None:
    """T-23."""
    registry = Registry[str]()
    registry.register("pack", "first", HERE)
    with pytest.raises(DuplicateTaskNameError) as caught:
        registry.register("pack", "second", place)
    assert caught.value.code is ErrorCode.TASK_DUPLICATE_NAME
    assert isinstance(caught.value, RegistryError)
    assert "/shop/tasks.py:31" in str(caught.value)
    assert registry["pack"] == "first"


def test_an_unknown_name_is_not_registered_and_a_key_error() -> None:
    """T-24."""
    registry = Registry[int]()
    registry.register("send_receipt", 1, HERE)
    with pytest.raises(NotRegistered) as caught:
        registry["send_reciept"]
    assert caught.value.code is ErrorCode.TASK_NOT_REGISTERED
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, RegistryError)
    assert "send_receipt" in str(caught.value)


def test_unknown_names_in_the_ways_of_a_mapping() -> None:
    registry = Registry[int]()
    assert registry.get("pack") is None
    assert registry.get("pack", 7) == 7
    assert registry.find("pack") is None
    assert "pack" not in registry
    unusual: object = 5
    assert unusual not in registry
    registry.register("pack", 1, HERE)
    assert registry.find("pack") == registry.get("pack") == 1
    assert "pack" in registry


def test_registering_while_iterating_is_harmless() -> None:
    registry = Registry[int]()
    registry.register("one", 1, HERE)
    for name in registry:
        registry.register(f"{name} more", 2, SourceLocation("/b.py", 1))
    assert list(registry) == ["one", "one more"]
