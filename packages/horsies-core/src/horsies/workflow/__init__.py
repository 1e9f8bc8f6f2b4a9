"""Workflows: graphs of tasks, and what their tasks are told about the workflow they run in."""
