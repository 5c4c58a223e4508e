"""A plain FastAPI route with pydantic models, as most would write it."""

from fastapi import FastAPI
from graph import open_graph, score
from pydantic import BaseModel

app = FastAPI()
graph = open_graph()


class Rows(BaseModel):
    """The request."""

    rows: list[list[float]]


class Answer(BaseModel):
    """The response."""

    score: list[float]


@app.post("/score")
def answer(asked: Rows) -> Answer:
    """The scores of the rows; a `def` route, which runs in FastAPI's threads."""
    return Answer(score=score(graph, asked.rows).tolist())
