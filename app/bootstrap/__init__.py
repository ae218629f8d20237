"""Chooses the adapters: the only folder that names them."""
