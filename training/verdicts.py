"""The report's numbers in plain words: what is good, what is not, and what to try."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from app.manifest import TrainingPoint
from app.report import BANDS, DifficultSensor, Gap, Latents, SensorFit, Suspects, Verdict
from training.fit import gains_no_more
from training.train import DENSITY, REFIT, steps_found

STILL_GAINING = 0.05
"""Nats that the last tenth of the steps gained, above which more steps are worth trying."""
OVERFITTED = 0.05
"""Nats a sensor that validation rows may cost more than training rows."""
SHIFTED = 1.0
"""Nats that the threshold may move when the oddest rows are left out."""
APART = 5.0
"""The oddest row stands apart when its excess is this many times that of the last one listed."""
LOOSE = 1.0
"""Nats between the bounds above which the posterior is too simple for the model."""
OFTEN = 0.5
"""Share of rows at the floor from which a sensor's density is the floor's rather than the data's."""
TOLERANCE = (0.1, 0.05, 0.02)
"""How much more or less each of BANDS may cover before a person should mind…"""
DOUBT = 1e-3
"""…provided that an honest band would be so far off with this probability at most, shared by all sensors."""
NAMED = 5
"""Sensors that a verdict names; the rest are counted."""


def run(points: Sequence[TrainingPoint], most: int, refits: bool) -> list[Verdict]:
    """Of a run whose time was up: in its first stage, of `most` steps, or in the second of one that `refits`.

    None where it came to its end.
    """
    judged = [point.validation_nats for point in points if point.validation_nats is not None]
    steps = {stage: max((p.step for p in points if p.stage == stage), default=0) for stage in (DENSITY, REFIT)}
    found = steps_found(points)
    if steps[DENSITY] < most and not gains_no_more(judged):
        text = f"cut short in stage '{DENSITY}' at step {steps[DENSITY]} of at most {most}"
    elif refits and steps[REFIT] < found:
        text = f"cut short before stage '{REFIT}' was at its end, at step {steps[REFIT]} of {found}"
    else:
        return []
    return [Verdict(about="run", good=False, text=f"{text}: give it more time")]


def curve(points: Sequence[TrainingPoint], sensors: int) -> list[Verdict]:
    """Of the stage that fits the density of `sensors` sensors; none where there is no curve."""
    density = [
        (point.validation_nats, point.train_nats, point.step)
        for point in points
        if point.stage == DENSITY and point.validation_nats is not None
    ]
    if not density:
        return []
    (nats, train_nats, _), last_step = min(density), density[-1][2]
    gain = min((before for before, _, step in density if step <= 0.9 * last_step), default=nats) - nats
    excess = nats - train_nats
    if gain > STILL_GAINING:
        text = f"the last tenth of {last_step} steps still gained {gain:.3g} nats: try more steps"
    elif excess > OVERFITTED * sensors:
        text = f"validation rows cost {excess:.3g} nats more than training rows: try more rows or a smaller width"
    else:
        text = f"level after {last_step} steps, and validation rows cost about what training rows do"
    return [Verdict(about="curve", good=gain <= STILL_GAINING and excess <= OVERFITTED * sensors, text=text)]


def sensors(found: Sequence[DifficultSensor]) -> list[Verdict]:
    """Of the sensors' difficulties; those that training deals with by itself are good."""
    if not found:
        return [Verdict(about="sensors", good=True, text="none is difficult")]
    kinds = [sensor.kind for sensor in found]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    good = set(kinds) <= {"constant", "two-valued", "stepped"}
    advice = "training has dealt with them" if good else "read what was done, and whether more should be"
    return [Verdict(about="sensors", good=good, text=f"{counted}: {advice}")]


def rows(suspects: Suspects | None) -> list[Verdict]:
    """Of the oddest rows; none where nothing could be left out."""
    if suspects is None or not suspects.rows:
        return []
    first, among = suspects.rows[0], suspects.threshold.rows - suspects.threshold_without.rows
    before, after = suspects.threshold.nats, suspects.threshold_without.nats
    place = f"row {first.row}" if first.line is None else f"line {first.line}"
    good = abs(before - after) <= SHIFTED and first.excess <= APART * suspects.rows[-1].excess
    advice = "nothing stands out" if good else "look at them; if they are faults, leave them out and train again"
    shift = f"without the {among} calibration rows among the {len(suspects.rows)} oddest the threshold would be"
    text = (
        f"the oddest is {place}, {first.excess:.4g} nats above the median, most surprising in '{first.sensor}'; "
        f"{shift} {after:.6g} instead of {before:.6g} nats: {advice}"
    )
    return [Verdict(about="rows", good=good, text=text)]


def latents(found: Latents, sensors: int) -> list[Verdict]:
    """Of the latents of a model of `sensors` sensors."""
    size = len(found.kl)
    if found.active == 0:
        text = "none is active: the model sees nothing that its sensors have in common; try more steps, or more rows"
    elif found.active == size < sensors - 1:
        text = f"all {size} are active: a larger latent_size may fit better"
    elif found.active == size:
        text = f"all {size} are active, and there is no use for more"
    else:
        text = f"{found.active} of {size} active, the others pruned by themselves: enough"
    good = found.active > 0 and not found.active == size < sensors - 1
    return [Verdict(about="latents", good=good, text=text)]


def floor(fits: Sequence[SensorFit]) -> list[Verdict]:
    """Of the sensors whose decoder's scale is mostly its floor."""
    often = [f"'{fit.name}' ({fit.at_floor:.0%})" for fit in fits if fit.at_floor >= OFTEN]
    text = "no sensor's scale is mostly its floor"
    if often:
        text = (
            f"the scale of {_some(often)} of rows is mostly its floor: these are predicted more closely than they are "
            "resolved, so their nats tell of the floor; leave out copies, if any; other tables' nats are not comparable"
        )
    return [Verdict(about="floor", good=not often, text=text)]


def gap(found: Gap) -> list[Verdict]:
    """Of the bound's looseness."""
    size = f"the score is {found.nats:.3g} ± {found.error:.1g} nats above a bound of {found.draws} draws"
    if found.nats <= LOOSE:
        return [Verdict(about="gap", good=True, text=f"{size}: tight")]
    advice = "the posterior is simpler than the model; try more steps, or fewer components"
    return [Verdict(about="gap", good=False, text=f"{size}: {advice}")]


def bands(fits: Sequence[SensorFit]) -> list[Verdict]:
    """Of the predictive bands: sensors of which one covers clearly less, or more, than it says."""
    off = [(fit, *_off(fit, len(fits))) for fit in fits]
    narrow, wide = (
        [
            f"'{fit.name}' ({fit.coverage[band]:.1%} in the {BANDS[band]:.0%} band)"
            for fit, band, sign in off
            if sign == of
        ]
        for of in (-1, 1)
    )
    if narrow:
        advice = "trust expected_mean there more than expected_scale; try fewer latents or more rows"
        text = f"too narrow for {_some(narrow)}: {advice}"
    elif wide:
        text = f"they cover more than they say for {_some(wide)}: cautious, which does no harm"
    else:
        text = "given the others, every sensor's bands cover what they say"
    return [Verdict(about="bands", good=not narrow, text=text)]


def _off(fit: SensorFit, sensors: int) -> tuple[int, int]:
    """The number of the widest of BANDS that is clearly off, and -1 where it covers too little; 0 where none is off."""
    for number in reversed(range(len(BANDS))):
        band, coverage = BANDS[number], fit.coverage[number]
        within = round(coverage * fit.readings)
        chance = 2 * min(binom.cdf(within, fit.readings, band), binom.sf(within - 1, fit.readings, band))
        if abs(coverage - band) > TOLERANCE[number] and chance < DOUBT / sensors:
            return number, int(np.sign(coverage - band))
    return 0, 0


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
