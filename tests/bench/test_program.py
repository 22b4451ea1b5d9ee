"""The program: its figures, its files, and what it says when there is nothing to measure."""

import dataclasses
import json

import pytest
import torch
from stablekv.bench import decode_cases, plot, results, run, timing
from stablekv.bench.work import Work, WrongAnswer

from tests.support.processes import run_python

_ROW = results.Row("decode/8-2/b1/c64/float32", "stablekv", 2_000_000, 50.0, 100.0, 90, 110, 101, 9)


def _program(*arguments):
    code = f"""
        import sys
        from stablekv.bench.__main__ import run_main
        sys.argv = ["bench", *{arguments!r}]
        run_main()
        """
    return run_python(code)


def test_a_run_writes_its_figures(tmp_path):
    files = [f"--json={tmp_path}/out.json", f"--markdown={tmp_path}/out.md"]
    done = _program("--device=cpu", "--cases=^reshape_and_cache/1/", "--seconds=0.01", *files)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["case"] for row in found["rows"]] == [
        "reshape_and_cache/1/random/auto",
        "reshape_and_cache/1/random/fp8",
    ]
    for row in found["rows"]:
        assert 0 < row["low"] <= row["median"] <= row["high"]
        assert row["gb_per_s"] == pytest.approx(row["bytes"] / row["median"] / 1e3)
        assert row["percent"] == pytest.approx(100 * row["limit"] / row["median"])
    assert found["machine"]["torch"] == torch.__version__
    table = (tmp_path / "out.md").read_text()
    assert "| reshape_and_cache/1/random/fp8 | stablekv |" in table
    assert "reshape_and_cache/1/random/fp8" in done.stdout


def test_without_absl_it_says_what_to_install():
    done = run_python("import sys; sys.modules['absl'] = None; import stablekv.bench.__main__")
    assert done.returncode == 1
    assert done.stderr == (
        "python -m stablekv.bench needs absl-py, which the wheel's extra `bench` brings: "
        "pip install absl-py\n"
    )


def test_no_case_is_an_error():
    done = _program("--device=cpu", "--cases=nothing like this")
    assert done.returncode == 1
    assert "--cases=nothing like this finds no case; --list prints them" in done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--cases=("], "--cases=(: no regular expression: "),
        (["--json=/not/there/x.json"], "--json=/not/there/x.json: its folder cannot be written to"),
        (["--plot=/not/there/x.png"], "--plot=/not/there/x.png: its folder cannot be written to"),
        (["--json=/"], "--json=/: it is a folder"),
        (["--plot=x.gif"], "--plot=x.gif: it must end in .png or .svg"),
        (
            ["--plot=x.png", "--cases=^convert_fp8|/c2048r"],
            "--plot=x.png: it shows no case that --cases=^convert_fp8|/c2048r finds",
        ),
        (["--device=meta"], "value should be one of <cpu|cuda>"),
    ],
)
def test_what_cannot_end_well_is_not_begun(arguments, message):
    done = _program("--device=cpu", *arguments)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout.startswith("torch: ")  # what a run begins with


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_said():
    done = _program("--device=cuda")
    assert done.returncode == 1
    assert "--device=cuda: torch " in done.stdout + done.stderr


def test_an_interrupted_run_writes_what_it_has(tmp_path):
    code = f"""
        import sys
        from stablekv.bench import __main__, run

        measure = run.measure

        def interrupted(*arguments):
            yield next(measure(*arguments))
            raise KeyboardInterrupt

        run.measure = interrupted
        sys.argv = ["bench", "--device=cpu", "--cases=^reshape_and_cache/1/", "--seconds=0.01",
                    "--json={tmp_path}/out.json"]
        __main__.run_main()
        """
    done = run_python(code)
    assert (done.returncode, done.stderr) == (1, "interrupted after 1 rows\n")
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["case"] for row in found["rows"]] == ["reshape_and_cache/1/random/auto"]


@pytest.mark.parametrize(
    "error, said",
    [
        ("WrongAnswer('bad')", "a wrong answer is not timed: bad"),
        ("RuntimeError('CUDA error')", "RuntimeError: CUDA error"),
    ],
)
def test_a_run_that_fails_writes_what_it_has(tmp_path, error, said):
    """Also where nothing of it can be plotted."""
    code = f"""
        import sys
        from stablekv.bench import __main__, run
        from stablekv.bench.work import WrongAnswer

        measure = run.measure

        def failing(device, pattern, *more):
            yield next(measure(device, "^reshape_and_cache/1/", *more))
            raise {error}

        run.measure = failing
        sys.argv = ["bench", "--device=cpu", "--seconds=0.01", "--json={tmp_path}/out.json",
                    "--plot={tmp_path}/out.png"]
        __main__.run_main()
        """
    done = run_python(code)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, said)
    found = json.loads((tmp_path / "out.json").read_text())
    assert [row["case"] for row in found["rows"]] == ["reshape_and_cache/1/random/auto"]
    assert done.stdout.endswith("no case that the plot shows was measured: there is none\n")
    assert not (tmp_path / "out.png").exists()


def test_a_wrong_answer_is_not_timed():
    code = """
        import sys
        import stablekv
        stablekv.reshape_and_cache = lambda *args, **named: None
        from stablekv.bench.__main__ import run_main
        sys.argv = ["bench", "--device=cpu", "--cases=^reshape_and_cache/1/"]
        run_main()
        """
    done = run_python(code)
    assert done.returncode == 1
    assert "a wrong answer is not timed: reshape_and_cache/1/random/auto: " in done.stderr


def test_a_peer_that_does_not_work_is_left_out(monkeypatch):
    def missing():
        raise AttributeError("module 'peer' has no attribute 'kernel'\nor so")

    def wrong():
        raise WrongAnswer  # says nothing

    works = {
        "missing": missing,
        "wrong": lambda: Work([lambda: None], 1, wrong),
        "right": lambda: Work([lambda: None], 1, lambda: None),
    }
    case = decode_cases.DecodeCase(1, 40, 4, 2)
    monkeypatch.setattr(run.peers, "peers_of", lambda data: works)
    monkeypatch.setattr(run.decode_cases, "CPU", [case])
    said = []
    rows = run.measure(torch.device("cpu"), "^decode/", True, 0.01, said.append)
    assert [row.subject for row in rows] == ["stablekv", "right"]
    assert said == [
        f"{case.name}: missing is left out: "
        "AttributeError: module 'peer' has no attribute 'kernel'",
        f"{case.name}: wrong is left out: WrongAnswer:",
    ]


@pytest.mark.parametrize("place", ["limit.read_time", "decode.make_data", "make_work"])
def test_a_case_without_memory_for_it_is_left_out(monkeypatch, place):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nOr so")

    case = decode_cases.DecodeCase(1, 40, 4, 2)
    monkeypatch.setattr(run.decode_cases, "CPU", [case])
    monkeypatch.setattr(f"stablekv.bench.run.{place}", full)
    said = []
    pattern = "^decode/|^reshape_and_cache/1/random/auto$"
    rows = list(run.measure(torch.device("cpu"), pattern, False, 0.01, said.append))
    names = [case.name, "reshape_and_cache/1/random/auto"]
    lost = names.pop(place == "make_work")
    assert [row.case for row in rows] == names
    assert said == [
        f"{lost} is left out: OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB."
    ]


def test_a_run_without_memory_for_any_case_is_an_error():
    code = """
        import sys
        from stablekv.bench import __main__, run
        run.measure = lambda *arguments: iter(())
        sys.argv = ["bench", "--device=cpu"]
        __main__.run_main()
        """
    done = run_python(code)
    assert (done.returncode, done.stderr) == (1, "every case was left out\n")


def test_the_list_is_of_the_cases_that_are_asked_for():
    done = _program("--device=cpu", "--list", "--cases=^reshape_and_cache/1/")
    assert done.stdout.splitlines() == [
        "reshape_and_cache/1/random/auto",
        "reshape_and_cache/1/random/fp8",
    ]


def test_the_list_has_every_case_once():
    done = _program("--device=cpu", "--list")
    assert done.stdout.splitlines() == run.names(torch.device("cpu"))
    assert len(set(run.names(torch.device("cpu")))) == len(done.stdout.splitlines())


def test_every_call_of_a_rotation_is_timed():
    called = []
    calls = [lambda n=n: called.append(n) for n in range(7)]
    found = timing.time_work(Work(calls, 1, lambda: None), torch.device("cpu"), seconds=0.01)
    assert called[:14] == [*range(7), *range(7)]
    assert found.low <= found.median <= found.high


def test_one_call_in_ten_is_faster_and_one_in_ten_slower():
    found = timing._timing([1000.0, *range(20)], eager=4.0, host=3.0)
    assert found == timing.Timing(median=10, low=2, high=18, eager=4.0, host=3.0)


def test_the_table():
    row = dataclasses.replace(_ROW, case="a case")
    assert results.Run({"device": "a machine"}, [row]).to_markdown().splitlines() == [
        "* device: a machine",
        "",
        "| case | subject | us | 10-90 % | eager us | host us | GB/s | limit us | % of limit |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| a case | stablekv | 100.0 | 90.0-110.0 | 101.0 | 9.0 | 20 | 50.0 | 50 |",
    ]


def test_the_limit_of_a_cache_operator_is_that_of_a_copy(monkeypatch):
    monkeypatch.setattr(run.limit, "copy_time", lambda num_bytes, device: 12.5)
    pattern = "^reshape_and_cache/1/random/auto$"
    (row,) = run.measure(torch.device("cpu"), pattern, False, 0.01)
    assert row.limit == 12.5


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_plot(tmp_path, kind):
    path = tmp_path / f"plot.{kind}"
    plot.write_plot(results.Run({"device": "a machine"}, [_ROW]), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert len(data) > 5000


def test_plot_of_nothing(tmp_path):
    row = results.Row("convert_fp8/1/to fp8", *list(_ROW.__dict__.values())[1:])
    with pytest.raises(ValueError, match="no decode case was measured"):
        plot.write_plot(results.Run({}, [row]), tmp_path / "plot.png")
