"""The tray: a process of its own that shows what is left and warns in time; it meets the gateway over HTTP only."""
