"""`/docs`: Swagger UI from our own files, so that it works where there is no internet."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

ASSETS = Path(__file__).parent / "static" / "swagger-ui"

# Relative addresses, so that it works behind a path prefix too; without validatorUrl the page would ask a server of
# Swagger's about the document, and without the empty icon a browser would ask ours for one.
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
<script>
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true });
</script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(PAGE)


@router.get("/docs/swagger-ui.css")
async def stylesheet() -> FileResponse:
    return FileResponse(ASSETS / "swagger-ui.css", media_type="text/css")


@router.get("/docs/swagger-ui-bundle.js")
async def script() -> FileResponse:
    return FileResponse(ASSETS / "swagger-ui-bundle.js", media_type="text/javascript")
