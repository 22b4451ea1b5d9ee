"""What is in the wheel, byte by byte, and what its name and its metadata say of it."""

import base64
import csv
import hashlib
import io
import os
import pathlib
import zipfile

import pytest
from elftools.elf.elffile import ELFFile
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from tests.wheel import archive
from tools.abi import elf
from tools.wheel import metadata, platform_tag

WHEEL = archive.find()
CONTENTS = archive.contents(WHEEL)
SOURCES = [pathlib.Path(path) for path in os.environ["STABLEKV_FILES"].split()]
(LIBRARY,) = (path for path in SOURCES if path.suffix == ".so")
VERSION = metadata.version_in(LIBRARY.parent / "_version.py")
INFO = f"stablekv-{VERSION}.dist-info"


def test_the_name_says_what_it_holds():
    name, version, build, tags = parse_wheel_filename(WHEEL.name)
    assert (name, str(version), build) == ("stablekv", VERSION, ())
    (tag,) = tags
    assert (tag.interpreter, tag.abi) == ("py3", "none")
    assert tag.platform == platform_tag.of([elf.read(LIBRARY)])
    assert tag in list(sys_tags())  # or pip would not install it here
    assert archive.fields(WHEEL, "WHEEL").get_all("Tag") == [str(tag)]
    assert archive.fields(WHEEL, "WHEEL")["Root-Is-Purelib"] == "false"


def test_the_metadata():
    found = archive.fields(WHEEL, "METADATA")
    assert (found["Name"], found["Version"]) == ("stablekv", VERSION)
    assert found["Requires-Python"] == ">=3.10"
    assert found.get_all("Requires-Dist") == [
        "torch>=2.10",
        'absl-py; extra == "bench"',
        'matplotlib; extra == "bench"',
    ]
    assert found.get_all("Provides-Extra") == ["bench"]
    assert found["License-Expression"] == "Apache-2.0"
    assert found.get_all("License-File") == ["LICENSE"]
    assert b"Apache License" in CONTENTS[f"{INFO}/licenses/LICENSE"]
    assert "# stablekv" in found.get_payload()


def test_every_file_of_the_package_and_no_other():
    expected = {"/".join(path.parts[path.parts.index("stablekv") :]): path for path in SOURCES}
    assert {"stablekv/__init__.py", "stablekv/py.typed", "stablekv/doctor/report.py"} < set(
        expected
    )
    for name, path in expected.items():
        assert CONTENTS[name] == path.read_bytes(), name
    of_wheels = {f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    recorded = {"stablekv/_revision.json"} if os.environ["STABLEKV_STAMPED"] == "yes" else set()
    assert set(CONTENTS) == set(expected) | of_wheels | recorded


def test_no_library_that_is_bound_to_one_torch():
    assert [name for name in CONTENTS if ".so" in name] == ["stablekv/_C_stable_libtorch.so"]


def test_the_record_is_right():
    rows = list(csv.reader(io.StringIO(CONTENTS[f"{INFO}/RECORD"].decode())))
    assert [row[0] for row in rows] == list(CONTENTS)
    for name, digest, size in rows[:-1]:
        sha256 = base64.urlsafe_b64encode(hashlib.sha256(CONTENTS[name]).digest()).rstrip(b"=")
        assert (digest, int(size)) == (f"sha256={sha256.decode()}", len(CONTENTS[name]))
    assert rows[-1] == [f"{INFO}/RECORD", "", ""]


def test_nothing_of_the_build_is_in_the_archive():
    with zipfile.ZipFile(WHEEL) as wheel:
        for entry in wheel.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            if not entry.filename.endswith("/RECORD"):
                mode = 0o755 if entry.filename.endswith(".so") else 0o644
                assert entry.external_attr >> 16 & 0o7777 == mode, entry.filename


@pytest.mark.skipif(
    os.environ["STABLEKV_COMPILATION_MODE"] == "dbg", reason="a debug build keeps its symbols"
)
def test_the_library_is_stripped():
    with LIBRARY.open("rb") as file:
        sections = [section.name for section in ELFFile(file).iter_sections()]
    assert ".dynsym" in sections
    assert not [name for name in sections if name in (".symtab", ".strtab") or "debug" in name]
