"""A bundle's report as lines of text for a person: what `nelbo inspect` and the end of a training run print of it."""

from collections.abc import Iterator, Sequence

from app.report import BANDS, Report


def verdicts(report: Report) -> Iterator[str]:
    """One line a verdict, those to look at marked."""
    for verdict in report.verdicts:
        yield f"{'good' if verdict.good else 'LOOK'}  {verdict.about:<7}  {verdict.text}"


def difficult_sensors(report: Report) -> Iterator[str]:
    """What each difficult sensor is like, and what was done about it."""
    for sensor in report.sensors:
        yield f"{sensor.name}, {sensor.kind}: {sensor.found}; {sensor.done}"


def suspects(report: Report) -> Iterator[str]:
    """The oddest rows as a table, and what they do to the threshold."""
    if report.suspects is None:
        return
    table = [("row", "line", "part", "excess", "score", "sensor", "given the others")]
    for row in report.suspects.rows:
        excess, score, nats = (f"{value:.5g}" for value in (row.excess, row.score, row.nats))
        table.append((str(row.row), str(row.line or "-"), row.part, excess, score, row.sensor, nats))
    yield from aligned(table)
    before, after = report.suspects.threshold, report.suspects.threshold_without
    yield (
        f"{before.rows - after.rows} of them are among the {before.rows} calibration rows; the threshold is "
        f"{before.nats:.6g} nats, and would be {after.nats:.6g} without these"
    )


def latents(report: Report) -> Iterator[str]:
    """What each latent carries."""
    if report.latents is not None:
        yield f"nats each     {' '.join(f'{nats:.3g}' for nats in report.latents.kl)}"
        yield f"variance each {' '.join(f'{variance:.3g}' for variance in report.latents.variance)}"


def fits(report: Report) -> Iterator[str]:
    """How honest the model is about each sensor, as a table."""
    if not report.fits:
        return
    table = [("name", "least scale", "at it", *(f"{band:.0%} band" for band in BANDS), "of readings")]
    for fit in report.fits:
        shares = (f"{share:.1%}" for share in (fit.at_floor, *fit.coverage))
        table.append((fit.name, f"{fit.floor:.3g}", *shares, str(fit.readings)))
    yield from aligned(table)


def aligned(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells as lines, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
