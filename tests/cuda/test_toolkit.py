"""What a toolkit says about itself becomes what the build accepts."""

import importlib.util
import os
import stat

import pytest

_HOST_CONFIG = "#if __GNUC__ > 15\n#error -- unsupported GNU version!\n#endif\n"


@pytest.fixture
def toolkit():
    spec = importlib.util.spec_from_file_location("toolkit", os.environ["STABLEKV_TOOLKIT"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path):
    """A toolkit whose nvcc is a script."""

    def make(
        codes="sm_75\\nsm_90\\nsm_107", version="Cuda compilation tools, release 13.5, V13.5.37"
    ):
        nvcc = tmp_path / "bin/nvcc"
        nvcc.parent.mkdir()
        nvcc.write_text(
            f'#!/bin/sh\ncase $1 in --version) echo "{version}";; *) printf "{codes}";; esac\n'
        )
        nvcc.chmod(nvcc.stat().st_mode | stat.S_IXUSR)
        header = tmp_path / "include/crt/host_config.h"
        header.parent.mkdir(parents=True)
        header.write_text(_HOST_CONFIG)
        return tmp_path

    return make


def test_it_says_release_gpus_and_compiler(toolkit, tree):
    assert toolkit.describe(tree()) == {
        "archs": ["75", "90", "90a", "107", "107a", "107f"],
        "newest_gcc": 15,
        "version": "13.5",
    }


def test_an_nvcc_that_lists_nothing_is_refused(toolkit, tree):
    with pytest.raises(toolkit.ToolkitError, match="lists no GPU: 'nothing'"):
        toolkit.describe(tree(codes="nothing"))


def test_an_nvcc_without_a_release_is_refused(toolkit, tree):
    with pytest.raises(toolkit.ToolkitError, match="no release of nvcc was found"):
        toolkit.describe(tree(version="unknown"))


def test_a_header_without_the_limit_is_refused(toolkit):
    with pytest.raises(toolkit.ToolkitError, match="no limit for GCC"):
        toolkit.newest_gcc("// nothing")


def test_an_nvcc_that_does_not_run_is_refused(toolkit, tree):
    root = tree()
    (root / "bin/nvcc").write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    with pytest.raises(toolkit.ToolkitError, match="--list-gpu-code failed: broken"):
        toolkit.describe(root)
