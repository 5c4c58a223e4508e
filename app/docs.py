"""`/docs`: Swagger UI from our own files, so that it works where there is no internet."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

STATIC = Path(__file__).parent / "static"
SWAGGER = STATIC / "swagger-ui"

# Relative addresses, so that it works behind a path prefix too; without the empty icon a browser would ask for one. No
# script stands in the page itself: `browsers` forbids those, so that none that somebody smuggles in runs.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nelbo</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/docs.js"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(PAGE)


@router.get("/docs/swagger-ui.css")
async def stylesheet() -> FileResponse:
    return FileResponse(SWAGGER / "swagger-ui.css", media_type="text/css")


@router.get("/docs/swagger-ui-bundle.js")
async def bundle() -> FileResponse:
    return FileResponse(SWAGGER / "swagger-ui-bundle.js", media_type="text/javascript")


@router.get("/docs/docs.js")
async def script() -> FileResponse:
    return FileResponse(STATIC / "docs.js", media_type="text/javascript")
