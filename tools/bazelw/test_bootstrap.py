"""The private Bazel: what it is made of, and what is said when it cannot be made."""

import hashlib
import os
import struct
import sys
from pathlib import Path

import fake_debian
import pytest

sys.path.insert(0, str(Path(__file__).parent / "bootstrap"))

import command
import report
import truststore


def _refused(machine, **variables: str) -> str:
    done = machine.run("info", **variables)
    assert done.returncode == 36
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert machine.prefixes() == []
    assert machine.calls("bazel") == [] or (machine.fake / "fail-bazel").exists()
    return done.stderr


def test_makes_it_once(machine):
    first = machine.run("info")
    assert [line[:12] for line in first.stderr.splitlines() if "/4 " in line] == [
        f"bazelw: {phase}/4 " for phase in "1234"
    ]
    assert "found Bazel 7.7.1+ds-8 in Debian forky" in first.stderr
    calls = len(machine.calls("apt-get"))
    second = machine.run("info")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert len(machine.calls("apt-get")) == calls
    assert sorted(path.name for path in machine.folder.iterdir()) == sorted(
        ["lock", machine.prefixes()[0].name]
    )


def test_a_new_recipe_makes_a_new_one(machine):
    machine.run("info")
    [old] = machine.prefixes()
    with (machine.repo / "tools/bazelw/bootstrap/recipe.py").open("a") as recipe:
        recipe.write("# changed\n")
    done = machine.run("info")
    assert len(machine.prefixes()) == 2
    assert f"you may delete: {old}\n" in done.stderr


def test_what_is_needed_is_fetched_and_nothing_else(machine):
    machine.run("info")
    [fetched] = [call for call in machine.calls("apt-get") if " download bazel" in call]
    assert fetched.partition(" download ")[2].split() == [
        "bazel-bootstrap",
        "liba-java",
        "libc6",
        "libzstd-jni1",
        "openjdk-25-jre-headless",
        "patchelf",
        "python3-pip-whl",
    ]
    [prefix] = machine.prefixes()
    assert not (prefix / "usr/bin/gcc").exists()


def test_apt_may_not_take_what_is_not_signed(machine):
    (machine.fake / "fail-update").write_text("stop here, with the configuration written")
    _refused(machine)
    config = (machine.folder / "download/apt.conf").read_text()
    assert 'APT::Get::AllowUnauthenticated "0";' in config
    assert 'Acquire::AllowInsecureRepositories "0";' in config
    assert "#clear APT::Update;" in config
    assert not [call for call in machine.calls("apt-get") if "allow" in call.lower()]


def test_links_stay_inside(machine):
    machine.run("info")
    [prefix] = machine.prefixes()
    links = [path for path in prefix.rglob("*") if path.is_symlink()]
    assert {"lib64", "linux-sandbox", "c.jar"} <= {link.name for link in links}
    assert [link for link in links if os.readlink(link).startswith("/")] == []
    assert (prefix / "usr/share/bazel/linux-sandbox").read_text() == "program"
    assert (prefix / "usr/share/bazel/libzstd-jni.so").read_text() == "library"


def test_programs_get_their_own_c_library(machine):
    machine.run("info")
    [prefix] = machine.prefixes()
    libraries = f"{prefix}/usr/lib/arch"
    arguments = (machine.fake / "patchelf.log").read_text().splitlines()
    assert arguments[:5] == [
        "--set-interpreter",
        f"{libraries}/ld-linux-arch.so.2",
        "--force-rpath",
        "--set-rpath",
        f"$ORIGIN:$ORIGIN/../lib:$ORIGIN/../lib/server:{libraries}",
    ]
    programs = {path.partition(".partial/")[2] for path in arguments[5:]}
    assert programs == {
        "usr/bin/bazel",
        "usr/lib/jvm/java-25/bin/java",
        "usr/lib/jvm/java-25/lib/jspawnhelper",
        "usr/libexec/arch/bazel/linux-sandbox",
    }


def test_class_path_has_the_jars_that_jars_name(machine):
    machine.run("info")
    [prefix] = machine.prefixes()
    listing = prefix / "usr/share/bazel/bazel_classpath_debian_depends.txt"
    assert listing.read_text().splitlines() == [
        f"{prefix}/usr/share/java/{name}.jar" for name in "abc"
    ]


def test_rc_names_the_prefix_with_its_space(machine):
    machine.run("info")
    [prefix] = machine.prefixes()
    assert " " in str(prefix)
    lines = (prefix / "bazelrc").read_text().splitlines()
    assert lines[:3] == [
        f'startup "--install_base={prefix}/usr/share/bazel"',
        "startup --trust_install_base",
        f'startup "--server_javabase={prefix}/usr/lib/jvm/java-25"',
    ]
    base = f"{prefix}/usr/share/bazel"
    assert f'common "--override_repository=rules_python={base}/rules/python"' in lines
    assert f'common "--override_repository=bazel_skylib={base}/tools/skylib"' in lines
    pip = f"{prefix}/usr/share/python-wheels/pip-25.1-py3-none-any.whl"
    assert lines[3 + 8 :] == [f'common "--repo_env=STABLEKV_PIP={pip}"']


def test_java_trusts_the_authorities_given(tmp_path, monkeypatch):
    bundle = tmp_path / "ca.crt"
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    bundle.write_text("# one\n" + pem.format("b25l") + "# two\n" + pem.format("dHdv") * 2)
    monkeypatch.setattr(truststore, "_MACHINE", bundle)
    truststore.write(tmp_path, tmp_path / "cacerts")
    data = (tmp_path / "cacerts").read_bytes()
    assert data[:12] == struct.pack(">III", 0xFEEDFEED, 2, 2)
    assert data.count(b"\x00\x05X.509\x00\x00\x00\x03") == 2
    assert b"\x03one" in data and b"\x03two" in data
    salted = "changeit".encode("utf-16-be") + b"Mighty Aphrodite" + data[:-20]
    assert data[-20:] == hashlib.sha1(salted).digest()


def test_no_bazel_7_in_the_suites(machine):
    (machine.fake / "candidate").write_text("8.3.0+ds-1\n")
    said = _refused(machine)
    assert "no package bazel-bootstrap 7.x was found" in said
    assert "http://mirror/debian forky holds 8.3.0+ds-1" in said
    assert "http://mirror/debian sid holds 8.3.0+ds-1" in said
    assert "STABLEKV_BAZEL" in said


def test_the_package_is_not_there(machine):
    (machine.fake / "candidate").write_text("(none)\n")
    assert "forky holds none" in _refused(machine)


def test_no_network(machine):
    (machine.fake / "fail-update").write_text("E: Could not resolve 'mirror'")
    said = _refused(machine)
    assert "apt-get update (http://mirror/debian forky) failed (exit code 100)" in said
    assert "E: Could not resolve 'mirror'" in said


def test_no_mirror(machine):
    (machine.fake / "mirrors").write_text("")
    assert "apt is configured with no Debian mirror" in _refused(machine)


def test_the_archive_itself_is_asked_first(machine):
    (machine.fake / "mirrors").write_text(
        "'http://a/other/dists/x/InRelease' x\n"
        "'http://b/security/dists/x-security/InRelease' x\n"
        "'http://c/debian/dists/x/InRelease' x\n"
    )
    (machine.fake / "candidate").write_text("(none)\n")
    said = _refused(machine)
    asked = [line.split(" holds")[0] for line in said.splitlines() if " holds " in line]
    assert asked == [
        "http://c/debian forky",
        "http://c/debian sid",
        "http://a/other forky",
        "http://a/other sid",
    ]


def test_download_fails(machine):
    (machine.fake / "fail-download").write_text("E: Failed to fetch x  Connection timed out")
    assert "apt-get download failed:\nE: Failed to fetch x" in _refused(machine)


def test_a_package_that_is_not_what_was_signed(machine):
    (machine.fake / "corrupt").write_text("libc6")
    assert "libc6_1_all.deb is not what the signed index promises" in _refused(machine)
    (machine.fake / "corrupt").unlink()
    done = machine.run("info")
    assert done.stdout.startswith("[private]")
    assert "2/4 fetching 1 packages" in done.stderr


def test_unpacking_fails(machine):
    (machine.fake / "fail-dpkg-deb").write_text("tar: write error: No space left on device")
    assert "No space left on device" in _refused(machine)


def test_it_does_not_start(machine):
    (machine.fake / "fail-bazel").write_text("java.lang.NoClassDefFoundError: io/perfmark")
    said = _refused(machine)
    assert "the new Bazel failed (exit code 37):\njava.lang.NoClassDefFoundError" in said
    (machine.fake / "fail-bazel").unlink()
    done = machine.run("info")
    assert done.returncode == 0
    assert "2/4 fetching 0 packages" in done.stderr


@pytest.mark.parametrize("tool", ["apt-get", "apt-cache", "dpkg", "dpkg-deb"])
def test_no_debian(machine, tool):
    (machine.bin / tool).unlink()
    assert f"{tool} is not on PATH" in _refused(machine)


def test_not_under_tmp(machine):
    said = _refused(machine, XDG_CACHE_HOME="/tmp/stablekv test")
    assert "/tmp, which Bazel's sandbox hides" in said
    assert not Path("/tmp/stablekv test").exists()


def test_a_cache_that_cannot_be_written(machine):
    said = _refused(machine, XDG_CACHE_HOME=f"{machine.repo}/bazelw")
    assert "Not a directory" in said


def test_too_little_room(machine, monkeypatch):
    usage = type("Usage", (), {"free": 10**8})
    monkeypatch.setattr(command.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setenv("PATH", str(machine.bin))
    with pytest.raises(report.StepError, match="has 100 MB free, wanted 900 MB"):
        command._check_machine(machine.bin, ())


def test_a_package_changed_its_layout(machine):
    archive = machine.fake / "archive"
    (archive / "openjdk-25-jre-headless_1_all.deb").unlink()
    assert "wanted one Java runtime (usr/lib/jvm/*/bin/java)" in _refused(machine)


def test_progress_off_a_terminal_is_a_line_a_tenth(capsys):
    progress = report.Progress("fetched", 1000)
    for done in range(1001):
        progress.update(done, "note")
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[2]) for line in lines] == list(range(10, 101, 10))


def test_root_is_not_under_tmp():
    assert not fake_debian.test_root().startswith("/tmp")
