"""A verified model and its report, told to a person: what `nelbo inspect` prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app import findings
from app import report as reports
from app.manifest import Calibration, Manifest, Order, Provenance, Sensor
from app.model import Model
from app.report import Report

SECONDS_A_DAY = 86_400
FEW = 0.25
"""Rows worth less than this share of their number in independent ones are not exchangeable."""
MOVED = 0.005
"""The p-value from which a shift is told; there are two of them, so one calibration in a hundred is told wrongly."""


def describe(model: Model) -> str:
    """The manifest and the report as text, and what was verified.

    Raises:
        BundleError: the report does not read.
    """
    manifest, report = model.manifest, reports.read(model.bundle)
    parts = [
        [f"{model}, format {manifest.format}", *_indented(_shape(manifest))],
        [f"sensors ({len(manifest.sensors)})", *_indented(_sensors(manifest.sensors))],
        ["calibration", *_indented(calibration_lines(manifest.calibration))],
        ["provenance", *_indented(_provenance(manifest.provenance))],
        *(part for part in _report(report) if len(part) > 1),
        [f"verified on {model.engine.device}: hashes, signatures, {manifest.probe.rows} probe rows"],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """What the held-out rows say of alarms and how far that may be trusted, in words; nelbo-train prints it too."""
    low, high = calibration.realised_rate_90
    yield f"{calibration.rows} held-out rows, {calibration.held_out_nats:.6g} nats on average"
    yield f"alarm from {calibration.threshold:.6g} nats, set for a false-alarm rate of {calibration.false_alarm_rate:g}"
    yield f"on new rows this rate is within {low:.3g} and {high:.3g} (90 % interval)"
    if calibration.interval_seconds is not None:
        alarms = calibration.false_alarm_rate * SECONDS_A_DAY / calibration.interval_seconds
        yield f"{alarms:.3g} false alarms a day are expected, a row every {calibration.interval_seconds:g} s"
    yield from _tail(calibration)
    if calibration.order is not None:
        yield from _order(calibration.order, calibration.rows)


def _tail(calibration: Calibration) -> Iterator[str]:
    tail = calibration.tail
    if tail is not None:
        yield (
            f"generalised-Pareto tail from {tail.score:.6g} nats, where p is {tail.p_value:.3g}: "
            f"shape {tail.shape:.3g}, scale {tail.scale:.3g} nats, of {tail.exceedances} rows"
        )
    yield f"no rate below {calibration.least_rate:.3g} can be asked for" + " (there is no tail)" * (tail is None)


def _order(order: Order, rows: int) -> Iterator[str]:
    yield f"{order.split} split; in the file's order they are worth {order.effective_rows:.0f} independent rows"
    if order.effective_rows < FEW * rows:
        least = 1 / (order.effective_rows + 1)
        later = "what later rows do, a time split tells"
        known = f"no rate below {least:.2g} is known to hold on later rows" if order.split == "time" else later
        yield f"warning: neighbouring rows score alike, so alarms come in runs; {known}"
    for shift in order.shifts:
        if shift.p_value < MOVED:
            yield (
                f"warning: scores moved between {shift.between} (distance {shift.distance:.3g}, "
                f"p {shift.p_value:.2g}): the plant drifts, and the false-alarm rate need not hold on new rows"
            )


def _report(report: Report) -> Iterator[list[str]]:
    """The parts of a report; one that says nothing is its heading alone."""
    yield ["verdicts", *_indented(findings.verdicts(report))]
    yield ["difficult sensors", *_indented(findings.difficult_sensors(report))]
    yield ["rows that are oddest when left out, in nats above the median", *_indented(findings.suspects(report))]
    yield ["latents", *_indented(findings.latents(report))]
    yield ["bands of each sensor given the others, and what they cover", *_indented(findings.fits(report))]


def _shape(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.decoder} decoder, scale {manifest.decoder_scale}; {manifest.prior} prior"
    yield f"{manifest.latent_size} latents, {manifest.draws} posterior draws, ONNX opset {manifest.opset}"


def _sensors(sensors: Sequence[Sensor]) -> Iterator[str]:
    table = [("name", "unit", "mean", "scale", "min", "max", "resolution", "")]
    for sensor in sensors:
        numbers = (sensor.mean, sensor.scale, sensor.min, sensor.max, sensor.resolution)
        constant = "constant in training" if sensor.constant else ""
        mean, scale, least, most, resolution = (f"{number:.6g}" for number in numbers)
        table.append((sensor.name, sensor.unit or "-", mean, scale, least, most, resolution, constant))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, unit, *cells, constant in table:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[2:-1], strict=True)]
        yield "  ".join([name.ljust(widths[0]), unit.ljust(widths[1]), *aligned, constant]).rstrip()


def _provenance(provenance: Provenance) -> Iterator[str]:
    yield f"data         {provenance.data}, SHA-256 {provenance.data_sha256}"
    yield f"attribution  {provenance.attribution or 'not told'}"
    yield f"rows         {_pairs(provenance.rows)}"
    yield f"command      {provenance.command}"
    yield f"seed         {provenance.seed}, threads {provenance.threads}"
    yield f"versions     {_pairs(provenance.versions)}"
    yield f"config       {_pairs({key: told for key, told in provenance.config.items() if told not in (None, [], {})})}"
    for last in {point.stage: point for point in provenance.curve}.values():
        judged = last.validation_nats
        told = f"{last.train_nats:.6g} on rows trained on" if judged is None else f"{judged:.6g} on validation rows"
        yield f"training     {last.stage}: standardised nats {told} at step {last.step}"


def _pairs(values: Mapping[Any, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
