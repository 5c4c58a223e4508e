import re

from fastapi.testclient import TestClient

ADDRESS = re.compile(r'(?:src|href)="([^"]*)"|url: "([^"]*)"')


def test_the_page_holds_no_absolute_address(client: TestClient) -> None:
    """It works where there is no internet: no scheme, no other host."""
    page = client.get("/docs").text

    assert "http:" not in page
    assert "https:" not in page
    assert "//" not in page


def test_everything_the_page_asks_for_is_served_here(client: TestClient) -> None:
    """Script, style sheet and document, each relative, so that a path prefix does not matter."""
    page = client.get("/docs").text
    asked = {first or second for first, second in ADDRESS.findall(page)} - {"data:,"}

    asked |= {first or second for first, second in ADDRESS.findall(client.get("/docs/docs.js").text)}
    assert asked == {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/docs.js", "openapi.json"}
    media = {path: client.get(f"/{path}").headers["content-type"].partition(";")[0] for path in asked}
    assert media == {
        "docs/swagger-ui.css": "text/css",
        "docs/swagger-ui-bundle.js": "text/javascript",
        "docs/docs.js": "text/javascript",
        "openapi.json": "application/json",
    }


def test_the_page_asks_no_validator(client: TestClient) -> None:
    """Swagger UI would otherwise send the document's address to a server of its makers."""
    assert "validatorUrl: null" in client.get("/docs/docs.js").text


def test_no_asset_points_to_a_source_map(client: TestClient) -> None:
    """A browser's tools would ask for a file that is not shipped."""
    for path in ("/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"):
        assert "sourceMappingURL=" not in client.get(path).text[-2000:]
