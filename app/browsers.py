"""What browsers may ask, and what answers say to them, and to caches on the way, in headers that never change.

Programs do not need these: they keep a page of somebody else's from making use of an answer, and readings off disks.
There is nothing about other origins (CORS), so that browsers let no page of another origin read an answer. Such a page
may still ask: what it may ask without the service's leave is refused.
"""

from collections.abc import Iterable

from app.errors import Forbidden

Headers = tuple[tuple[bytes, bytes], ...]

ON_EVERY_ANSWER: Headers = ((b"x-content-type-options", b"nosniff"),)
"""Each costs every request some time, so that this is all."""
ON_PAGES: Headers = (
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
)
"""On what a browser may show as a page; what `/docs` needs is all that is allowed. Caches keep no answer to POST that
does not tell them to (RFC 9110, 9.3.3)."""
OVER_TLS: Headers = ((b"strict-transport-security", b"max-age=31536000"),)
"""A browser that was here asks without TLS no more, for a year."""


def headers(tls: bool, page: bool) -> Headers:
    """What an answer says, over TLS or not; `page` is whether a browser may show it as one."""
    return ON_EVERY_ANSWER + (ON_PAGES if page else ()) + (OVER_TLS if tls else ())


def require_own_page(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what a browser asks for a page of another origin, as Go's net/http.CrossOriginProtection does.

    A browser says since 2023 for whom it asks (W3C, Fetch Metadata), and before that of which origin the page is, which
    has to be this host. Whoever says neither is no browser.

    Raises:
        Forbidden: `cross-origin`.
    """
    told = dict(headers)
    site, page = told.get(b"sec-fetch-site"), told.get(b"origin", b"").partition(b"://")[2]
    own = site in (b"same-origin", b"none") if site else b"origin" not in told or page == told.get(b"host")
    if not own:
        raise Forbidden("cross-origin", "Found a question of a page of another origin; expected one of a program.")
