"""DeclaredTask: what a workflow needs to know of a task. `TaskFunction` is one."""

from typing import Any

from horsies.definition import TaskDefinition


class DeclaredTask[T]:
    """A task by its declaration. `T` is its success value.

    Attributes:
        definition: Everything the declaration says, for workers and tools.
        task_name: The name that travels.
        task_queue_name: The queue it goes to unless a send or node names another.
        task_ok_type: The declared type of the success value.
    """

    definition: TaskDefinition
    task_name: str
    task_queue_name: str
    task_ok_type: Any
