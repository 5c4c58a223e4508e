"""A verified model and its report, told to a person: what `nelbo inspect` prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app import findings
from app import report as reports
from app.bundle import Calibration, Manifest, Provenance, Sensor
from app.report import Report
from app.repository import Model


def describe(model: Model) -> str:
    """The manifest and the report as text, and what was verified.

    Raises:
        BundleError: the report does not read.
    """
    manifest, report = model.manifest, reports.read(model.bundle)
    parts = [
        [f"{model}, format {manifest.format}", *_indented(_shape(manifest))],
        [f"sensors ({len(manifest.sensors)})", *_indented(_sensors(manifest.sensors))],
        ["calibration", *_indented(_calibration(manifest.calibration))],
        ["provenance", *_indented(_provenance(manifest.provenance))],
        *(part for part in _report(report) if len(part) > 1),
        [f"verified on {model.engine.device}: hashes, signatures, {manifest.probe.rows} probe rows"],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


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


def _calibration(calibration: Calibration) -> Iterator[str]:
    low, high = calibration.realised_rate_90
    yield f"{calibration.rows} held-out rows, {calibration.held_out_nats:.6g} nats on average"
    yield f"alarm from {calibration.threshold:.6g} nats, set for a false-alarm rate of {calibration.false_alarm_rate:g}"
    yield f"on new rows this rate is within {low:.3g} and {high:.3g} (90 % interval)"


def _provenance(provenance: Provenance) -> Iterator[str]:
    yield f"data         {provenance.data}, SHA-256 {provenance.data_sha256}"
    yield f"attribution  {provenance.attribution or 'not told'}"
    yield f"rows         {_pairs(provenance.rows)}"
    yield f"command      {provenance.command}"
    yield f"seed         {provenance.seed}, threads {provenance.threads}"
    yield f"versions     {_pairs(provenance.versions)}"
    yield f"config       {_pairs(provenance.config)}"
    for last in {point.stage: point for point in provenance.curve}.values():
        yield f"training     {last.stage}: {last.validation_nats:.6g} standardised nats at step {last.step}, validation"


def _pairs(values: Mapping[Any, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
