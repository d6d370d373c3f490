"""A datum in the file system: inputs written once into staging and linked into /pfs, a fresh /pfs/out, /pfs/.env."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.worker.inputs.folders import Emptied, make_parents, write
from trunkline.worker.inputs.links import Links
from trunkline.worker.inputs.pipes import Pipe, make_pipe
from trunkline.worker.inputs.variables import quoted
from trunkline.worker.ports import Content, Datum, Element, Fetched

OUT = "out"
ENV = b".env"
_KEEP_BYTES = 256 << 20
_ENV_BYTES = 1 << 20  # what code makes longer is not left lying about
_KEEP_FOLDERS = 256
_LATER_BYTES = 1 << 20
"""What is smaller than this is removed while code runs, and not between two datums."""

Key = tuple[str, ...]


class CannotLayOut(Exception):
    """This datum's inputs cannot be shown as files; the message says which and why."""


@dataclass(eq=False)
class _Folder:
    """An element's folder in staging, holding its files under their whole paths.

    parents: folders that it may hold without a file, since the element lies in them. made: it is there.
    """

    name: str
    parents: bytes = b""
    made: bool = False
    files: list[bytes] = field(default_factory=list)  # paths below the folder
    pipes: dict[bytes, Iterable[bytes]] = field(default_factory=dict)  # those of them that are filled when opened
    size_bytes: int = 0
    users: int = 0
    problem: str = ""


@dataclass
class Prepared:
    """A datum whose inputs lie ready. `links`: input name → folder in staging that /pfs/<input> leads to.

    owners: for each input the elements whose files it holds, to know a link's target again. pipes: to be fed while it
    runs. problem: why it cannot run, or "". download_us: its share of the time its window's inputs took.
    """

    datum: Datum
    links: dict[str, str]
    owners: dict[str, list[Element]]
    size_bytes: int
    held: list[tuple[Key, _Folder]]
    joined: list[str]
    problem: str = ""
    pipes: list[Pipe] = field(default_factory=list)
    download_us: int = 0

    @staticmethod
    def impossible(datum: Datum, problem: str) -> Prepared:
        """A datum whose inputs cannot be had."""
        return Prepared(datum, {}, {}, 0, [], [], problem)


class Staging:
    """The staging folder of a worker: each distinct element is written once, and shared by all datums that hold it.

    The folder is this object's alone. What no prepared datum uses any more stays, up to `keep_bytes`, for datums and
    jobs to come. shielded: code can change nothing in it. Safe for two threads.
    """

    def __init__(
        self, folder: Path, content: Content, keep_bytes: int = _KEEP_BYTES, *, shielded: bool = False
    ) -> None:
        self.folder = folder
        self._root = os.fsencode(folder)
        self._content = content
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()
        self._folders: dict[Key, _Folder] = {}
        self._idle: OrderedDict[Key, _Folder] = OrderedDict()  # longest idle first
        self._idle_bytes = 0
        self._count = 0
        self._emptied = Emptied(self._root)
        self._shielded = shielded
        self._gone: list[_Folder] = []  # nobody's any more, and small: `sweep` removes them
        for entry in list(os.scandir(self._root)):  # what an earlier worker left
            _discard(entry)

    def prepare(self, datums: Sequence[Datum]) -> list[Prepared]:
        """Write what these datums need and is not there. Raises TrunklineError as `Content.fetch`, OSError."""
        self.sweep()
        wanted: dict[Key, Element] = {_key(each): each for datum in datums for each in _as_files(datum)}
        with self._lock:
            fresh = {key: self._anew(each) for key, each in wanted.items() if key not in self._folders}
            for key in wanted:
                folder = fresh.get(key) or self._folders[key]
                folder.users += 1  # kept while this call runs
                if self._idle.pop(key, None):
                    self._idle_bytes -= folder.size_bytes
            self._folders |= fresh
        try:
            self._fill([wanted[key] for key in fresh], list(fresh.values()))
            return [self._prepared(datum) for datum in datums]
        except BaseException:
            with self._lock:
                for key in fresh:
                    self._folders[key].problem = "unfinished"
            raise
        finally:
            self._let_go([(key, self._folders[key]) for key in wanted])

    def release(self, prepared: Prepared) -> None:
        """The datum is done with."""
        for name in prepared.joined:
            shutil.rmtree(os.path.join(self._root, os.fsencode(name)), ignore_errors=True)
        self._let_go(prepared.held)

    def _new(self, kind: str, parents: bytes = b"") -> _Folder:
        self._count += 1
        return _Folder(f"{kind}{self._count}", parents)

    def _anew(self, element: Element) -> _Folder:
        """A folder for an element: one that is there and empty, or one to be made."""
        parents = os.path.dirname(element.path.strip("/").encode())
        name = self._emptied.take(parents)
        return _Folder(name, parents, made=True) if name else self._new("e", parents)

    def _fill(self, elements: list[Element], folders: list[_Folder]) -> None:
        made: set[bytes] = set()
        for folder in folders:
            if not folder.made:
                os.mkdir(os.path.join(self._root, folder.name.encode()), 0o755)
        if not elements:
            return
        for file in self._content.fetch(elements):
            folder = folders[file.element]
            relative = file.path.lstrip("/").encode()
            try:
                self._lay(folder, relative, file, elements[file.element].lazy, made)
            except OSError as error:
                if error.errno in _OURS:
                    raise
                folder.problem = f"input file {file.path} cannot be laid out: {error.strerror}"
                continue
            folder.files.append(relative)

    def _lay(self, folder: _Folder, relative: bytes, file: Fetched, lazy: bool, made: set[bytes]) -> None:
        top = os.path.join(self._root, folder.name.encode())
        if not lazy or isinstance(file.data, bytes):
            folder.size_bytes += write(top, relative, file.data, made)
            return
        make_parents(top, relative, made)
        make_pipe(os.path.join(top, relative))
        folder.pipes[relative] = file.data

    def _prepared(self, datum: Datum) -> Prepared:
        held = [(each, self._folders[_key(each)]) for each in _as_files(datum)]
        result = Prepared(datum, {}, {}, 0, [(_key(each), folder) for each, folder in held], [])
        with self._lock:
            for _, folder in held:
                folder.users += 1
        result.size_bytes = sum(folder.size_bytes for folder in {id(each): each for _, each in held}.values())
        result.problem = next((folder.problem for _, folder in held if folder.problem), "")
        for element, folder in held:
            result.owners.setdefault(element.input, []).append(element)
            result.links.setdefault(element.input, folder.name)
        for name, owners in result.owners.items():
            folders = [folder for element, folder in held if element.input == name]
            if len({folder.name for folder in folders}) > 1 and not result.problem:
                try:
                    result.links[name] = self._join(folders)
                    result.joined.append(result.links[name])
                except CannotLayOut as error:
                    result.problem = f"input {name} ({len(owners)} elements): {error}"
            top = os.path.join(self._root, result.links[name].encode())
            pipes = {path: data for folder in folders for path, data in folder.pipes.items()}
            result.pipes += [
                Pipe(os.path.join(top, path), f"/pfs/{name}/{os.fsdecode(path)}", data) for path, data in pipes.items()
            ]
        return result

    def _join(self, folders: list[_Folder]) -> str:
        """One folder of hard links with the files of several elements; what is in two of them is there once."""
        with self._lock:
            joined = self._new("j")
        target = os.path.join(self._root, joined.name.encode())
        os.mkdir(target, 0o755)
        made: set[bytes] = set()
        for folder in folders:
            source = os.path.join(self._root, folder.name.encode())
            for path in folder.files:
                try:
                    make_parents(target, path, made)
                    os.link(os.path.join(source, path), os.path.join(target, path))
                except (FileExistsError, NotADirectoryError) as error:
                    if os.path.isdir(os.path.join(target, path)) or not os.path.lexists(os.path.join(target, path)):
                        shutil.rmtree(target, ignore_errors=True)
                        shown = path.decode(errors="replace")
                        raise CannotLayOut(f"/{shown} is a file in one and a folder in another") from error
        return joined.name

    def _let_go(self, held: Iterable[tuple[Key, _Folder]]) -> None:
        gone = []
        with self._lock:
            for key, folder in held:
                folder.users -= 1
                if folder.users:
                    continue
                if folder.problem or folder.pipes:  # what fills a pipe is this claim's alone
                    del self._folders[key]
                    gone.append(folder)
                else:
                    self._idle[key] = folder
                    self._idle_bytes += folder.size_bytes
            while self._idle_bytes > self._keep_bytes or len(self._idle) > _KEEP_FOLDERS:
                key, folder = self._idle.popitem(last=False)
                self._idle_bytes -= folder.size_bytes
                del self._folders[key]
                (gone if folder.size_bytes >= _LATER_BYTES else self._gone).append(folder)
        self._remove(gone)

    def sweep(self) -> None:
        """Remove what nobody uses any more and has not been removed yet; `prepare` does it, too."""
        with self._lock:
            gone, self._gone = self._gone, []
        self._remove(gone)

    def _remove(self, folders: Iterable[_Folder]) -> None:
        for folder in folders:
            sure = self._shielded and not folder.problem
            self._emptied.put(folder.name, folder.files, folder.parents, sure=sure)


class Pfs:
    """The folder shown at /pfs. `inside` is where the code sees the staging folder; aside: as of `Links`."""

    def __init__(self, folder: Path, inside: str, aside: Path | None = None) -> None:
        self._folder = folder
        self._root = os.fsencode(folder)
        self._links = Links(self._root, inside, aside)
        self._env = 0  # inode of the /pfs/.env that is ours
        self.out = os.path.join(self._root, OUT.encode())
        self._used = False
        self._clean()

    @property
    def used(self) -> bool:
        """Whether something was shown here since it was last cleared: a datum may have been ended in the middle."""
        return self._used

    def lay(self, prepared: Prepared, env: Mapping[str, str]) -> None:
        """Show this datum's inputs, an empty /pfs/out, and /pfs/.env. Raises OSError."""
        self._used = True
        self._links.show(prepared.links)
        self.fresh_out()
        text = "".join([f"{name}={quoted(value)}\n" for name, value in env.items()])
        self._write_env(text.encode(errors="surrogateescape"))

    def _write_env(self, data: bytes) -> None:
        """Write /pfs/.env anew. Never what a link of the code's leads to: we may write more than it may.

        It is not emptied first: ext4 takes a file that was emptied and written anew for precious, and writes it out as
        soon as it is closed; the next datum would wait for that.
        """
        path = os.path.join(self._root, ENV)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(path, flags, 0o644)
        except OSError:
            self._links.drop(os.fsdecode(ENV))
            handle = os.open(path, flags | os.O_EXCL, 0o644)
        try:
            before = os.fstat(handle)
            self._env = before.st_ino
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            if before.st_size > len(data):
                os.ftruncate(handle, len(data))
        finally:
            os.close(handle)

    def copy_inputs(self, prepared: Prepared, staging: Path) -> None:
        """Private copies in place of links (`writable_inputs`), except of lazy inputs; gone with `clear`."""
        lazy = {pipe.shown.split("/")[2] for pipe in prepared.pipes}
        for name, folder in prepared.links.items():
            if name in lazy:
                continue
            self._links.drop(name)
            target = self._folder / name
            shutil.copytree(staging / folder, target, copy_function=shutil.copyfile)
            for path in (target, *target.rglob("*")):
                path.chmod(0o777 if path.is_dir() else 0o666)

    def fresh_out(self) -> None:
        """/pfs/out is there, a folder that code of any user may write."""
        try:
            os.chmod(self.out, 0o777)
        except FileNotFoundError:
            os.mkdir(self.out)
            os.chmod(self.out, 0o777)

    def clear(self) -> list[str]:
        """Remove what code left beside the links. Returns what could not be removed, as the code names it."""
        left = []
        os.chmod(self._root, 0o755)
        for entry in list(os.scandir(self._root)):
            if self._links.intact(entry) or self._is_env(entry):
                continue
            if entry.name == OUT.encode() and entry.is_dir(follow_symlinks=False):
                left += _empty(entry.path)
                continue
            left += _discard(entry)
        self._used = bool(left)
        return [f"/pfs/{os.fsdecode(os.path.relpath(path, self._root))}" for path in left]

    def _is_env(self, entry: os.DirEntry[bytes]) -> bool:
        """Whether it is the file we wrote, which is written anew in its place."""
        if entry.name != ENV or entry.inode() != self._env or not entry.is_file(follow_symlinks=False):
            return False
        return entry.stat(follow_symlinks=False).st_size <= _ENV_BYTES

    def _clean(self) -> None:
        """What an earlier worker left here goes."""
        for entry in list(os.scandir(self._root)):
            _discard(entry)


_OURS = {5, 12, 23, 24, 28, 30, 122}  # EIO ENOMEM ENFILE EMFILE ENOSPC EROFS EDQUOT: not the datum's fault


def _as_files(datum: Datum) -> Sequence[Element]:
    """What of a datum is shown in /pfs; the rest are buckets."""
    return [each for each in datum.elements if not each.s3]


def _key(element: Element) -> Key:
    """Equal keys, equal files. By content where it is known, so that it outlives its commit."""
    kind = "names" if element.empty_files else "pipes" if element.lazy else "files"
    if element.hash:
        return (kind, element.path, element.hash.hex())
    return (kind, element.path, element.project, element.repo, element.commit)


def _empty(folder: bytes) -> list[bytes]:
    """Remove what is in a folder, and keep the folder. Returns what could not be removed."""
    try:
        return [path for entry in list(os.scandir(folder)) for path in _discard(entry)]
    except OSError:
        return [folder]


def _discard(entry: os.DirEntry[bytes]) -> list[bytes]:
    """Remove an entry; returns it if that did not work."""
    try:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    except OSError:
        return [entry.path]
    return []
