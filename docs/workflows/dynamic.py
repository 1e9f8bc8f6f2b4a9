from instance import app

from horsies import TaskError, TaskNode, TaskResult, WorkflowSpec


@app.task("dynamic.convert")
def convert(file: str) -> TaskResult[str, TaskError]:
    return TaskResult(ok=file.replace(".wav", ".mp3"))


@app.task("dynamic.pack")
def pack(name: str) -> TaskResult[str, TaskError]:
    return TaskResult(ok=f"{name}.zip")


@app.workflow_builder(cases=[{"name": "empty", "files": []}, {"name": "live", "files": ["a.wav", "b.wav"]}])
def album(name: str, files: list[str]) -> WorkflowSpec[str]:
    converted = [
        TaskNode(fn=convert, args=(file,), node_id=f"track-{number}") for number, file in enumerate(files, 1)
    ]
    packed = TaskNode(fn=pack, args=(name,), waits_for=converted, node_id="packed")
    return app.workflow(f"album {name}", [*converted, packed], output=packed)


if __name__ == "__main__":
    spec = album("live", ["one.wav", "two.wav", "three.wav"])
    print(spec.to_mermaid(), end="")
    handle = spec.start().unwrap()
    print(handle.get(timeout_ms=30_000).unwrap())
