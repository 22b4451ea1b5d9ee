"""A machine that cannot build says why, before anything is fetched or compiled."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

_CHECK = os.environ["STABLEKV_HOST_CHECK"]


@pytest.fixture
def check():
    spec = importlib.util.spec_from_file_location("check", _CHECK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compiler(tmp_path):
    """A script that answers as a compiler; `compile` and `link` are its words when it fails."""

    def make(version="12.2.0", name="gcc", compile="", link=""):
        path = tmp_path / name
        path.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            f'-dump*) echo "{version}"; exit;;\n'
            f'--version) echo "{name} {version}"; exit;;\n'
            f'*-fsyntax-only*) words="{compile}";; *) words="{link}";; esac\n'
            'echo "$words" >&2; test -z "$words"\n'
        )
        path.chmod(0o755)
        return str(path)

    return make


def _run(**variables):
    command = [sys.executable, _CHECK]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


def test_this_machine_is_good():
    path = os.environ["PATH"]
    done = _run(PATH=path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    gcc = subprocess.run([found["compiler"], "-dumpversion"], capture_output=True, text=True)
    assert found == {
        "compiler": shutil.which("gcc", path=path),
        "gcc": int(gcc.stdout.split(".")[0]),
    }


def test_variables_of_the_compiler_do_not_count(tmp_path):
    (tmp_path / "cstdint").write_text("#error poisoned")
    variables = {"CPATH": str(tmp_path), "LIBRARY_PATH": str(tmp_path)}
    done = _run(PATH=os.environ["PATH"], **variables)
    assert done.returncode == 0, done.stderr


def test_no_compiler_on_path(tmp_path):
    done = _run(PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "there is no C++ compiler: gcc is not on PATH. Install gcc and g++"
    )


def test_the_compiler_of_cc_is_missing(tmp_path):
    done = _run(PATH=os.environ["PATH"], CC=f"{tmp_path}/gcc-15")
    assert done.returncode == 1
    assert f"{tmp_path}/gcc-15 is not there" in done.stderr


def test_no_compiler_is_needed_by_those_who_bring_a_toolchain(tmp_path):
    done = _run(PATH=str(tmp_path), BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN="1")
    assert json.loads(done.stdout) == {"compiler": "", "gcc": 0}


@pytest.mark.parametrize(("version", "major"), [("11.1.0", 11), ("12.2.0", 12), ("17", 17)])
def test_the_version_of_gcc_is_found(check, compiler, version, major):
    assert check.check_compiler(compiler(version)) == major


def test_clang_is_no_gcc(check, compiler):
    # Its numbers are its own: 4 is no old GCC, and nvcc's limit for GCC is not for it.
    assert check.check_compiler(compiler("4.2.1", name="clang")) == 0


def test_gcc_too_old(check, compiler):
    with pytest.raises(check.HostError, match=r"GCC 10\.2\.1, wanted 11 or later.*Set CC"):
        check.check_compiler(compiler("10.2.1"))


def test_a_compiler_that_does_not_say_its_version(check, compiler):
    with pytest.raises(check.HostError, match=r"does not say its version.*: unknown"):
        check.check_compiler(compiler("unknown"))


def test_gcc_without_gxx(check, compiler):
    path = compiler(compile="cannot execute cc1plus")
    with pytest.raises(check.HostError, match=r"(?s)install g\+\+.*cannot execute cc1plus"):
        check.check_compiler(path)


def test_no_linker(check, compiler):
    path = compiler(link="cannot find ld")
    with pytest.raises(
        check.HostError, match=r"(?s)install binutils and libc6-dev.*cannot find ld"
    ):
        check.check_compiler(path)


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("glibc 2.27", "wanted glibc 2.28 or later.* has glibc 2.27"),
        ("", "has none"),
        ("musl 1.2", "has musl 1.2"),
    ],
)
def test_c_library_too_old_or_another(check, library, words):
    with pytest.raises(check.HostError, match=words):
        check.check_glibc(library)


def test_c_library_new_enough(check):
    assert check.check_glibc("glibc 2.28") == "2.28"
    assert check.check_glibc("glibc 2.36") == "2.36"


def test_another_processor(check):
    check.check_machine("x86_64")
    with pytest.raises(check.HostError, match="for x86-64, and this machine is aarch64"):
        check.check_machine("aarch64")
