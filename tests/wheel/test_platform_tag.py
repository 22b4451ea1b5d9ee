"""The platform's tag by symbol versions, against auditwheel's policies."""

import dataclasses
import importlib.resources
import json
import os
import pathlib
import re

import pytest

from tools.abi import elf, promise
from tools.wheel import platform_tag

LIBRARY = elf.read(pathlib.Path(os.environ["STABLEKV_STABLE_LIBRARY"]))


def with_versions(*versions, machine="x86_64"):
    owners = {"GLIBC": "libc.so.6", "GCC": "libgcc_s.so.1"}
    named = [(owners.get(v.split("_")[0], "libstdc++.so.6"), v) for v in versions]
    return dataclasses.replace(LIBRARY, versions=tuple(named), machine=machine)


def policies():
    """X -> family -> newest version, of auditwheel's manylinux_2_X for x86_64."""
    data = importlib.resources.files("auditwheel.policy").joinpath("manylinux-policy.json")
    for policy in json.loads(data.read_text()):
        match = re.fullmatch(r"manylinux_2_(\d+)", policy["name"])
        if match and int(match[1]) >= min(platform_tag.RUNTIMES):
            versions = policy["symbol_versions"]["x86_64"]
            numbers = {
                family: [tuple(map(int, v.split("."))) for v in listed if re.match(r"[\d.]+$", v)]
                for family, listed in versions.items()
            }
            yield int(match[1]), {family: max(n) for family, n in numbers.items() if n}


def test_the_table_is_that_of_the_policies():
    compared = 0
    for glibc, newest in policies():
        runtime = platform_tag.RUNTIMES[max(x for x in platform_tag.RUNTIMES if x <= glibc)]
        assert {family: newest[family] for family in runtime} == dict(runtime), glibc
        compared += 1
    assert compared > 8


def test_the_library_is_for_the_promised_platform():
    # An older C library gives it fewer new symbols.
    match = re.fullmatch(r"manylinux_2_(\d+)_x86_64", platform_tag.of([LIBRARY]))
    assert int(match[1]) <= promise.FLOORS["GLIBC"][1]


@pytest.mark.parametrize(
    ("versions", "tag"),
    [
        (["GLIBC_2.17"], "manylinux_2_17_x86_64"),
        (["GLIBC_2.2.5"], "manylinux_2_17_x86_64"),
        (["GLIBC_2.28", "GLIBC_2.14"], "manylinux_2_28_x86_64"),
        (["GLIBC_2.28", "GLIBCXX_3.4.29"], "manylinux_2_34_x86_64"),
        (["GLIBC_2.17", "CXXABI_1.3.12"], "manylinux_2_31_x86_64"),
        (["GLIBC_2.17", "GCC_12.0.0"], "manylinux_2_35_x86_64"),
        (["GLIBC_2.33", "GLIBC_ABI_DT_RELR"], "manylinux_2_36_x86_64"),
        (["GLIBC_2.43"], "manylinux_2_43_x86_64"),
        ([], "manylinux_2_17_x86_64"),
    ],
)
def test_the_oldest_platform_that_has_all(versions, tag):
    assert platform_tag.of([with_versions(*versions)]) == tag


def test_of_several_libraries_the_newest_counts():
    libraries = [with_versions("GLIBC_2.28"), with_versions("GLIBC_2.31")]
    assert platform_tag.of(libraries) == "manylinux_2_31_x86_64"
    assert platform_tag.of(libraries[:1]) == "manylinux_2_28_x86_64"


def test_a_machine_is_named():
    library = with_versions("GLIBC_2.28", machine="aarch64")
    assert platform_tag.of([library]) == "manylinux_2_28_aarch64"


@pytest.mark.parametrize(
    ("libraries", "words"),
    [
        ([with_versions("GLIBCXX_3.4.99")], "no platform .* has GLIBCXX 3.4.99"),
        ([with_versions("GLIBC_3.0")], "glibc 3.0: manylinux tags know 2.X"),
        ([with_versions(), with_versions(machine="aarch64")], r"got \['aarch64', 'x86_64'\]"),
        ([], r"got \[\]"),
    ],
)
def test_no_tag(libraries, words):
    with pytest.raises(platform_tag.TagError, match=words):
        platform_tag.of(libraries)
