"""A GPU test says why it skips, and fails where a GPU is required. No device is seen in here."""

import os
import subprocess


def _run(**variables):
    environment = {k: v for k, v in os.environ.items() if k != "STABLEKV_REQUIRE_GPU"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", **variables}
    program = os.environ["STABLEKV_GPU_TEST"]
    return subprocess.run([program], env=environment, capture_output=True, text=True)


def test_it_skips_with_the_reason(tmp_path):
    warnings = tmp_path / "warnings"
    done = _run(TEST_WARNINGS_OUTPUT_FILE=str(warnings))
    assert done.returncode == 0
    assert done.stdout.startswith("SKIPPED common_cuda_test: no CUDA device (")
    assert warnings.read_text() == done.stdout


def test_where_a_gpu_is_required_it_fails():
    done = _run(STABLEKV_REQUIRE_GPU="1")
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED common_cuda_test: no CUDA device (")
