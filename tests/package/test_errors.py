"""A refused call arrives as a RuntimeError through the library as it is shipped."""

from stablekv import _library

from tests.support.operators import OPERATORS
from tests.support.processes import check_python


def test_an_error_is_an_exception_and_leaves_the_process_well():
    """No abort, nothing on stderr, no C++ in the message, and the next good call works."""
    printed = check_python(
        """
        import torch, stablekv

        def attend(dtype):
            return stablekv.paged_attention(
                torch.ones(1, 1, 32, dtype=dtype),
                torch.ones(1, 1, 8, 8, 4),
                torch.ones(1, 1, 32, 8),
                torch.zeros(1, 1, dtype=torch.int32),
                torch.ones(1, dtype=torch.int32),
            )

        for _ in range(3):
            try:
                attend(torch.int8)
            except RuntimeError as error:
                print(type(error).__name__, error)
        assert torch.equal(attend(torch.float32), torch.ones(1, 1, 32))
        """,
        STABLEKV_LIBRARY=str(_library.PATH),
    )
    lines = printed.splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1
    assert lines[0].startswith(
        "RuntimeError paged_attention_v1: query must be float32, float16 or bfloat16, got int8"
    )


def test_every_operator_refuses_without_noise():
    """One bad call of each: one exception each, and no line of torch's or of a backtrace."""
    printed = check_python(
        """
        from tests.support import contract
        from tests.support.operators import OPERATORS
        for operator in OPERATORS:
            variant = contract.VARIANTS[0]
            arguments = operator.build(variant, "cpu")
            next(contract.refusals(operator, variant)).change(arguments)
            try:
                operator.call(**arguments)
            except RuntimeError as error:
                print(repr(str(error)))
        """,
        STABLEKV_LIBRARY=str(_library.PATH),
    )
    lines = printed.splitlines()
    assert len(lines) == len(OPERATORS)
    for operator, line in zip(OPERATORS, lines, strict=True):
        assert line.startswith(f"'{operator}: "), line
        assert "\\n" not in line, line
