"""Changes to `/pfs/out` that only whoever shares the code's view and rights can make: FIX and WIPE."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat

from trunkline.worker.agent.users import User

KERNEL = (b"/proc/", b"/sys/", b"/dev/")
_FOLDER = 0o755
_FILE = 0o444


def fix(folder: bytes, trees: list[bytes], user: User | None) -> tuple[int, str]:
    """Make all in `folder` readable, and copies of what links lead to outside `trees`. Returns (changed, complaint)."""
    changed, complaint = 0, ""
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            changed += _allow(here, _FOLDER)
            with os.scandir(here) as entries:
                found = list(entries)
        except OSError as error:
            complaint = complaint or _told(here, error)
            continue
        for entry in found:
            try:
                if entry.is_symlink():
                    changed += _materialise(entry.path, trees, user)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    changed += _allow(entry.path, _FILE)
            except OSError as error:
                complaint = complaint or _told(entry.path, error)
    return changed, complaint


def wipe(folder: bytes) -> tuple[int, str]:
    """Remove what is in `folder`. Returns (entries removed, first complaint)."""
    removed, complaint = 0, ""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        return 0, _told(folder, error)
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                _open_up(entry.path)
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
            removed += 1
        except OSError as error:
            complaint = complaint or _told(entry.path, error)
    return removed, complaint


def _open_up(folder: bytes) -> None:
    """Make every folder below searchable and writable, or rmtree would stop at the first 0000 one."""
    pending = [folder]
    while pending:
        here = pending.pop()
        with contextlib.suppress(OSError):
            os.chmod(here, 0o700)
            with os.scandir(here) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _allow(path: bytes, bits: int) -> int:
    mode = stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)
    if mode & bits == bits:
        return 0
    os.chmod(path, mode | bits)
    return 1


def _materialise(link: bytes, trees: list[bytes], user: User | None) -> int:
    """Put a copy in place of `link`, unless it leads into `trees`, nowhere, or in a circle."""
    try:
        target = os.path.realpath(link, strict=True)
    except OSError:
        return 0
    if any(target == tree or target.startswith(tree + b"/") for tree in trees):
        return 0
    if target == b"/" or link.startswith(target + b"/"):
        raise OSError(errno.ELOOP, "it leads back to a folder it lies in")
    if (target + b"/").startswith(KERNEL):
        raise OSError(errno.EPERM, "files of the kernel are not copied")
    copy = link + b".copy"
    while os.path.lexists(copy):
        copy += b"y"
    with _as(user):
        _copy(target, copy, [])
    os.unlink(link)
    os.rename(copy, link)
    return 1


def _copy(source: bytes, target: bytes, above: list[bytes]) -> None:
    """A regular file, or a folder with all that its links lead to; anything else is left out."""
    mode = os.stat(source).st_mode
    if stat.S_ISREG(mode):
        with open(source, "rb") as reader, open(target, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
    elif stat.S_ISDIR(mode):
        real = os.path.realpath(source)
        if real in above:
            raise OSError(40, "a link that leads back to a folder it lies in")
        os.mkdir(target)
        for name in sorted(os.listdir(source)):
            _copy(source + b"/" + name, target + b"/" + name, [*above, real])


@contextlib.contextmanager
def _as(user: User | None):  # type: ignore[no-untyped-def]
    """Read and write with the rights of the code's own user for a while."""
    if user is None:
        yield
        return
    groups = os.getgroups()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        os.setegid(os.getgid())
        os.setgroups(groups)


def _told(path: bytes, error: OSError) -> str:
    return f"{os.fsencode(path).decode(errors='replace')}: {error.strerror or error}"
