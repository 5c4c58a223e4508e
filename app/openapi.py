"""The OpenAPI document: what FastAPI knows of the routes, and what it cannot know since they read bytes themselves."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from app import verbs
from app.authentication import PROBES, open_paths
from app.body import JSON
from app.key_openapi import demand_keys
from app.manifest import NAME_PATTERN, Sensor
from app.model import Model
from app.problems import MEDIA_TYPE
from app.refusals import under_v2
from app.repository import Repository
from app.schemas import FLOAT32_MAX, Problem, RowsRequest, SampleRequest, ScoreRequest
from app.settings import Settings
from app.v2_openapi import READ_BY_HAND, describe
from app.verbs import Verb, least_rate, most_explained, most_samples

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"
DESCRIPTION = (
    "Scores sensor vectors by the negative ELBO of a variational auto-encoder. The verbs at the root ask the "
    "default model. Every answer carries X-Request-ID; a sane one that a request brings is kept. Answers of a model "
    "carry X-Model-Version, `name@version+` and the beginning of its bundle's SHA-256."
)
ASKED: dict[str, Verb] = {
    "encode": verbs.encode,
    "reconstruct": verbs.reconstruct,
    "sample": verbs.sample,
    "score": verbs.score,
}
PATH_PARAMETERS: dict[str, Schema] = {
    "name": {"type": "string", "pattern": NAME_PATTERN},
    "version": {"type": "integer", "minimum": 1},
}


class Documents:
    """The document of each repository that is served, written when it is asked for first."""

    def __init__(self, write: Callable[[Repository], bytes]) -> None:
        self._write = write
        # Weakly, so that what is served no more goes.
        self._written: WeakKeyDictionary[Repository, bytes] = WeakKeyDictionary()

    def of(self, repository: Repository) -> bytes:
        """The document as JSON."""
        written = self._written.get(repository)
        if written is None:
            written = self._written[repository] = self._write(repository)
        return written


def document(
    routes: Sequence[BaseRoute], version: str, statuses: Iterable[int], settings: Settings, repository: Repository
) -> bytes:
    """The document as JSON; `statuses` are those of problems that a verb can answer with."""
    whole = get_openapi(
        title="nelbo", version=version, description=DESCRIPTION, routes=routes, separate_input_output_schemas=False
    )
    _, asked = models_json_schema(
        [(model, "validation") for model in (RowsRequest, ScoreRequest, SampleRequest, Problem, *READ_BY_HAND)],
        ref_template=REF,
    )
    schemas = whole["components"]["schemas"]
    schemas |= asked["$defs"]
    everything = [model for versions in repository.models.values() for model in versions.values()]
    for path, operation in _operations(whole):
        operation["parameters"] = _parameters(path)
        if under_v2(path):
            describe(path, operation, set(statuses) - {422})  # what is 422 at a verb is 400 there
            continue
        verb = path.rpartition("/")[2]
        told = set(statuses) if verb in ASKED else {404, 500, 503} if path in PROBES else {404, 500}
        operation["responses"] |= _problems(told if "{name}" in path else told - {404})
        if verb in ASKED:
            content = operation["requestBody"]["content"][JSON]
            name = content["schema"]["$ref"].rpartition("/")[2]
            models = everything if "{name}" in path else [repository.default]
            content["schema"] = _narrowed(schemas[name], models, settings)
        if path[1:] in ASKED:
            _show(operation, ASKED[verb], repository.default, settings)
    if settings.keys_are_set:
        demand_keys(whole, open_paths(settings))
    return orjson.dumps(whole)


def below(prefix: str, document: bytes) -> bytes:
    """The document of a service whose addresses are below a prefix, which may be empty."""
    return orjson.dumps({**orjson.loads(document), "servers": [{"url": prefix}]}) if prefix else document


def _operations(whole: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in whole["paths"].items():
        for operation in methods.values():
            yield path, operation


def _parameters(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]


def _problems(statuses: set[int]) -> Schema:
    content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model=Problem.__name__)}}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


def _show(operation: Schema, verb: Verb, default: Model, settings: Settings) -> None:
    """Give an example that was really asked and answered."""
    question = _example(verb, default)
    answer = verb(default, settings, orjson.dumps(question)).answer()
    operation["requestBody"]["content"][JSON]["example"] = question
    operation["responses"]["200"]["content"][JSON]["example"] = orjson.loads(answer.body)


def _example(verb: Verb, default: Model) -> Schema:
    sensors = default.manifest.sensors
    if verb is verbs.sample:
        return {"count": 2, "seed": 7}
    usual = {sensor.name: _plausible(sensor, sensor.mean) for sensor in sensors}
    unusual = usual | {sensors[0].name: _plausible(sensors[0], sensors[0].mean + 6 * sensors[0].scale)}
    return {"rows": [usual, unusual]} | ({"explain": True} if verb is verbs.score else {})


def _plausible(sensor: Sensor, value: float) -> float:
    """Short enough for a person, and within a twentieth of what the sensor varies by."""
    return value if sensor.constant else round(value, 1 - math.floor(math.log10(sensor.scale)))


def _narrowed(schema: Schema, models: Sequence[Model], settings: Settings) -> Schema:
    """The schema of a request to one of these models; exact where they have the same sensors."""
    narrowed = copy.deepcopy(schema)
    fields = narrowed["properties"]
    row = {
        "anyOf": [kind for names in {model.manifest.sensor_names: None for model in models} for kind in _rows_of(names)]
    }
    if "rows" in fields:
        fields["rows"] |= {"items": row, "maxItems": settings.max_rows}
    if "given" in fields:
        fields["given"] = {"description": fields["given"]["description"], **row}
    if "count" in fields:
        fields["count"]["maximum"] = min(most_samples(model, settings) for model in models)
    if "explain" in fields:
        narrowed["if"] = {"properties": {"explain": {"const": True}}, "required": ["explain"]}
        most = min(most_explained(model, settings) for model in models)
        narrowed["then"] = {"properties": {"rows": {"maxItems": most}}}
    if "false_alarm_rate" in fields:
        fields["false_alarm_rate"]["minimum"] = max(map(least_rate, models))
        del fields["false_alarm_rate"]["exclusiveMinimum"]
    return narrowed


def _rows_of(sensors: Sequence[str]) -> list[Schema]:
    reading = {"type": ["number", "null"], "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
    return [
        {"type": "array", "items": reading, "minItems": len(sensors), "maxItems": len(sensors)},
        {"type": "object", "properties": dict.fromkeys(sensors, reading), "additionalProperties": False},
    ]
