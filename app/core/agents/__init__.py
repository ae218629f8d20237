"""Agents: named presets of a model chain, a system prompt and parameters, called as the model "agent/ID"."""
