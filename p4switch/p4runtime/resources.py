"""Counter values and meter configurations between P4Runtime messages and the pipeline's numbers."""

from __future__ import annotations

from finsy.proto import p4r

from p4switch.p4runtime.errors import invalid
from p4switch.pipeline.entities import MeterRates

MAX_COUNT = (1 << 63) - 1
"""P4Runtime's counts are signed."""


def decode_counts(data: p4r.CounterData) -> tuple[int, int]:
    """(packets, bytes).

    Raises:
        RequestError: INVALID_ARGUMENT for negative numbers.
    """
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid("a counter's values cannot be negative")
    return data.packet_count, data.byte_count


def encode_counts(counts: tuple[int, int], out: p4r.CounterData) -> None:
    """Fill in a message; `SetInParent` keeps zeros visible as set."""
    out.SetInParent()
    out.packet_count, out.byte_count = min(counts[0], MAX_COUNT), min(counts[1], MAX_COUNT)


def decode_rates(config: p4r.MeterConfig) -> MeterRates:
    """The rates of a two-rate three-colour meter.

    Raises:
        RequestError: INVALID_ARGUMENT for negative numbers, an excess burst, or a peak rate below the committed one.
    """
    if min(config.cir, config.cburst, config.pir, config.pburst) < 0:
        raise invalid("a meter's rates and bursts cannot be negative")
    if config.eburst:
        raise invalid("eburst is for single-rate meters; this one has two rates")
    if config.pir < config.cir:
        raise invalid(f"a meter's pir ({config.pir}) cannot be below its cir ({config.cir})")
    return MeterRates(config.cir, config.cburst, config.pir, config.pburst)


def encode_rates(rates: MeterRates, out: p4r.MeterConfig) -> None:
    """Fill in a message; `SetInParent` keeps one of zeros visible as set."""
    out.SetInParent()
    out.cir, out.cburst, out.pir, out.pburst = rates.cir, rates.cburst, rates.pir, rates.pburst
