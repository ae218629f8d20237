"""The AgentFiles port: `agents/*.toml` in the configuration folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from app.adapters.statefiles import create_private, private_folder
from app.core.errors import Conflict, NotFound, Unavailable

_LARGEST = 2**20
_END = ".toml"

_Signature = tuple[int, int, int, int]


class AgentFolder:
    """One file for each agent; hidden files, as editors make them, are none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self) -> dict[str, _Signature]:
        """Every file's stem, and what is another one whenever the file is; raises Unavailable."""
        found: dict[str, _Signature] = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_END) and not entry.name.startswith("."):
                        signature = _signature(entry)
                        if signature is not None:
                            # A name that is no text becomes one that no file has: nobody could call it.
                            name = entry.name.encode(errors="replace").decode()
                            found[name.removesuffix(_END)] = signature
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise Unavailable(f"The folder cannot be read: {error.strerror}.") from None
        return dict(sorted(found.items()))

    def read(self, id: str) -> str:
        """The text of a file; raises NotFound when it has gone, Unavailable when it cannot be read."""
        try:
            with self._path(id).open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise Unavailable("The file is larger than 1 MiB.")
            return content.decode("utf-8-sig")
        except FileNotFoundError:
            raise NotFound("The file has gone.") from None
        except UnicodeDecodeError:
            raise Unavailable("The file is not UTF-8. Save it as UTF-8.") from None
        except OSError as error:
            raise Unavailable(f"The file cannot be read: {error.strerror}.") from None

    def place(self, id: str) -> str:
        """Where a file is, for people; the folder for ""."""
        return str(self._path(id) if id else self.folder)

    def create(self, id: str, text: str) -> Path:
        """A new file with this text, and where it is; raises Conflict when there is one already."""
        private_folder(self.folder)
        path = self._path(id)
        try:
            create_private(path, text.encode())
        except FileExistsError:
            raise Conflict(
                f"There is an agent {id} already: {path}. Change that file, or choose another name."
            ) from None
        return path

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}{_END}"


def _signature(entry: os.DirEntry[str]) -> _Signature | None:
    """Changes whenever the file does, its rights included; None for what is no file, or has just gone."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
