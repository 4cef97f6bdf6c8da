"""The onnx package's own examples of every operator: never wrong, and answered but for what the numbers decide."""

from __future__ import annotations

import pytest
from tools.node_models import Answer, answers, node_models


@pytest.fixture(scope="module")
def asked() -> list[Answer]:
    cases = node_models()
    return [answer for case in cases for constants in (False, True) for answer in answers(case, constants)]


def test_nothing_is_wrong(asked: list[Answer]) -> None:
    assert len(asked) > 3000
    assert [answer for answer in asked if answer.verdict == "wrong"] == []


def test_models_with_their_constants_are_answered(asked: list[Answer]) -> None:
    """What stays unknown: an optional sequence."""
    rows = [answer for answer in asked if answer.constants]
    assert sum(answer.verdict == "equal" for answer in rows) / len(rows) > 0.97
    assert sum(answer.verdict == "unknown" for answer in rows) / len(rows) < 0.001


def test_the_test_can_fail() -> None:
    (case,) = (case for case in node_models() if case.name == "test_relu")
    case.data_sets[0][1][0] = case.data_sets[0][1][0][:1]
    assert [answer.verdict for answer in answers(case, constants=False)] == ["wrong"]
