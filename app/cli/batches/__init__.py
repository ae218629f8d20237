"""The parts of `orgate batch`."""
