"""The servers that are measured: what each needs, how it starts and how it is asked."""

from dataclasses import dataclass, field

from benchmarks.serving.wire import ROWS, ROWS_TO_LIST, ROWS_TO_NOTHING, V2, V2_BINARY, Wire

GRAPH_RUNTIME = ("numpy==2.4.6", "onnxruntime==1.32.0")
"""nelbo's own, so that every server runs the graph alike."""
BARE, NELBO, NELBO_BINARY, TURBINE = "bare uvicorn", "nelbo", "nelbo, v2 binary", "nelbo, gas-turbine"
UVICORN = ("{python}", "-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning")
BENTOML = ("{python}", "-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", "{port}")
BENTOML_SETTINGS = {"BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false", "BENTOML_DO_NOT_TRACK": "True"}
ROW_COUNTS, CONNECTIONS = (1, 16, 256), (1, 32, 128)


@dataclass(frozen=True)
class Cell:
    """A load: rows in each request, and connections that always have one under way."""

    rows: int
    connections: int


@dataclass(frozen=True)
class Question:
    """What one line of the tables is measured with."""

    name: str
    path: str = "/score"
    wire: Wire = ROWS
    model: str = "reference"
    cells: tuple[Cell, ...] = tuple(Cell(rows, connections) for rows in ROW_COUNTS for connections in CONNECTIONS)
    open_loop: bool = True


@dataclass(frozen=True)
class Peer:
    """A server. `{python}`, `{port}`, `{models}` and `{graph}` in its command and environment are filled in."""

    key: str
    requirements: tuple[str, ...]
    """Of its own environment; where there are none it runs in nelbo's, and from the repository's root."""
    command: tuple[str, ...]
    questions: tuple[Question, ...]
    environment: dict[str, str] = field(default_factory=dict)


_BINARY = Question(
    NELBO_BINARY,
    "/v2/models/reference/infer",
    V2_BINARY,
    cells=tuple(Cell(256, connections) for connections in CONNECTIONS),
    open_loop=False,
)
_TURBINE = Question(TURBINE, "/models/gas-turbine/score", model="gas-turbine", cells=(Cell(1, 32),), open_loop=False)

PEERS = (
    Peer(
        "bare",
        (),
        (*UVICORN, "benchmarks.serving.servers.with_bare:app"),
        (Question(BARE, wire=ROWS_TO_NOTHING),),
    ),
    Peer(
        "nelbo",
        (),
        ("{python}", "-m", "app", "serve"),
        (Question(NELBO), _BINARY, _TURBINE),
        {"NELBO_MODELS": "{models}", "NELBO_MODEL": "reference", "NELBO_PORT": "{port}", "NELBO_DEVICE": "cpu"},
    ),
    Peer(
        "fastapi",
        ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", *GRAPH_RUNTIME),
        (*UVICORN, "with_fastapi:app"),
        (Question("FastAPI route"),),
    ),
    Peer(
        "mlserver",
        ("mlserver==1.7.1", "onnxruntime==1.32.0"),
        ("{python}", "with_mlserver.py"),
        (Question("MLServer, batched", "/v2/models/score/infer", V2),),
    ),
    Peer(
        "litserve",
        ("litserve==0.2.19", *GRAPH_RUNTIME),
        ("{python}", "with_litserve.py"),
        (Question("LitServe, batched"),),
    ),
    Peer(
        "bentoml",
        ("bentoml==1.4.40", *GRAPH_RUNTIME),
        (*BENTOML, "with_bentoml:Single"),
        (Question("BentoML", wire=ROWS_TO_LIST),),
        BENTOML_SETTINGS,
    ),
    Peer(
        "bentoml-batched",
        ("bentoml==1.4.40", *GRAPH_RUNTIME),
        (*BENTOML, "with_bentoml:Batched"),
        (Question("BentoML, batched", wire=ROWS_TO_LIST),),
        BENTOML_SETTINGS,
    ),
    Peer(
        "ray",
        ("ray[serve]==2.60.0", *GRAPH_RUNTIME),
        ("{python}", "with_ray.py"),
        (Question("Ray Serve, batched"),),
        {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    ),
)
