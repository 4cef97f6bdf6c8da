"""Numbers that no machine holds are refused before they are made: shapes need none of them."""

from __future__ import annotations

import pytest

import shapecalc
from shapecalc import RefusedError, memory

DENSE = """name: "N" input: "data" input_shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param {{ num_output: {units} }} }}
layer {{ name: "top" type: "InnerProduct" bottom: "fc" top: "top" inner_product_param {{ num_output: {units} }} }}
"""
POOLED = """name: "N" input: "data" input_shape { dim: 1 dim: 3 dim: 1000000 dim: 1000000 }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 10 } }
"""
#: name -> (net, what is too much).
HUGE = {
    "10^18 weights": (DENSE.format(size=8, units=10**9), "the weights up to fc/weight need 768 GB"),
    "an image of 10^12 pixels": (POOLED, "the numbers of input data need 12,000 GB"),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_no_machine_holds_is_refused(name: str) -> None:
    text, message = HUGE[name]
    model = shapecalc.loads(text, format="caffe")
    assert model.trace().ok
    with pytest.raises(RefusedError) as caught:
        model.verify(device="cpu")
    assert (caught.value.code, caught.value.message) == ("E404", message)


def test_weights_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """fc has 192·50 numbers and top 50·50: each fits in 41,000 bytes, both do not."""
    model = shapecalc.loads(DENSE.format(size=8, units=50), format="caffe")
    monkeypatch.setattr(memory, "installed", lambda: 41_000)
    with pytest.raises(RefusedError, match="the weights up to top/weight need"):
        model.verify(device="cpu")
    monkeypatch.setattr(memory, "installed", lambda: 60_000)
    assert model.verify(device="cpu").ok
