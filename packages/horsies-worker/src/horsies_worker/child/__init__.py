"""An executor process: runs user code, holds no database connection of horsies' own.

`main` imports the tasks and hands over to the runner; the keeper, a thread of its own, listens to the coordinator all
the time, so that the process can answer while user code runs.
"""
