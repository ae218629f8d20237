"""A D-Bus of the test's own, and services on it that live in threads of the test."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MatchRule,
    Message,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
)
from jeepney.bus_messages import Monitoring, message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import unwrap_msg

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  {services}
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
_CAPITAL = re.compile("([A-Z])")
REPLY_S = 10.0


@contextmanager
def private_bus(folder: Path, *, services: bool = False, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A bus, and its address; it starts programs by itself only with `services`, and in this environment."""
    config = folder / "bus.conf"
    folders = "<standard_session_servicedirs/>" if services else ""
    config.write_text(_CONFIG.format(path=folder / "bus", services=folders))
    command = ["dbus-daemon", f"--config-file={config}", "--print-address", "--nofork", "--nopidfile"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "dbus-daemon did not start"
            yield address
        finally:
            process.terminate()
            process.wait(10)


class Refusals:
    """Counts the calls that the bus refuses because nobody has the name they are for."""

    def __init__(self, address: str, name: str) -> None:
        self._name = name
        self._connection: DBusConnection = open_dbus_connection(address)
        self._heard: deque[Message] = deque()
        rule = MatchRule(type="error")
        Proxy(Monitoring(), self._connection, timeout=REPLY_S).BecomeMonitor([rule.serialise()])
        self._connection.filter(rule, queue=self._heard)

    def count(self) -> int:
        """How many there were so far."""
        with suppress(TimeoutError):
            while True:
                self._connection.recv_messages(timeout=0)
        return sum(self._name in str(message.body) for message in self._heard)

    def close(self) -> None:
        """Hear no more."""
        self._connection.close()


class Caller:
    """Asks things of programs on the bus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, service: str, path: str, interface: str, method: str, signature: str = "", *arguments: Any) -> Any:
        """The answer's values; raises jeepney's DBusErrorResponse. Each call has a connection of its own."""
        address = DBusAddress(path, service, interface)
        message = new_method_call(address, method, signature or None, arguments)
        with open_dbus_connection(self._address) as connection:
            return unwrap_msg(connection.send_and_get_reply(message, timeout=REPLY_S))


class Service:
    """
    A program on the bus: it owns `name` and answers calls with what its methods return.

    A method `on_some_name(sender, *arguments)` answers the call `SomeName` with the signature and values it returns.
    """

    name = ""
    path = ""

    def __init__(self, address: str) -> None:
        self._connection: DBusConnection = open_dbus_connection(address)
        self._send_lock = threading.Lock()
        self._hangs = False
        self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
        reply = self._connection.send_and_get_reply(message_bus.RequestName(self.name, 4), timeout=REPLY_S)
        assert unwrap_msg(reply) == (1,), f"{self.name} is taken"
        self._thread.start()

    def close(self) -> None:
        """Leave the bus, as a program does that ends."""
        with suppress(OSError):
            self._connection.sock.shutdown(2)
        self._thread.join(10)
        self._connection.close()

    def hang(self) -> None:
        """Take calls and answer none, from now on."""
        self._hangs = True

    def emit(self, signal: Message) -> None:
        """Send a signal to everybody."""
        with self._send_lock:
            self._connection.send(signal)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call and not self._hangs:
                    answer = self._answer(message)
                    with self._send_lock:
                        self._connection.send(answer)

    def _answer(self, message: Message) -> Message:
        fields = message.header.fields
        method: Callable[..., tuple[str, tuple[Any, ...]]] | None
        method = getattr(self, "on" + _CAPITAL.sub(r"_\1", fields[HeaderFields.member]).lower(), None)
        if method is None:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", ("no such method",))
        signature, values = method(fields[HeaderFields.sender], *message.body)
        return new_method_return(message, signature or None, values)
