"""The project's own benchmark; `python -m tests.bench --help` says how to run it."""
