"""A small client of the REST API, for provisioning and for the benchmarks."""

from collections.abc import Iterator
from typing import Any

import httpx

TIMEOUT_S = 30.0


class ApiError(RuntimeError):
    """The node refused a request; the message holds status and problem detail."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Requests with a bearer token. Times and bodies are those of docs of the API.

    Args:
        url: address of the node.
        token: bearer token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/v1", headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S, trust_env=False
        )

    def get(self, resource: str, **query: str | int) -> Any:
        """Return the document at ``resource``.

        Raises:
            ApiError: any status but 2xx.
        """
        return self._send("GET", resource, params=query)

    def post(self, path: str, document: Any = None) -> Any:
        """Post a document and return the answer. Raises ``ApiError``."""
        return self._send("POST", path, json=document)

    def put(self, path: str, document: Any) -> Any:
        """Put a document and return the answer. Raises ``ApiError``."""
        return self._send("PUT", path, json=document)

    def patch(self, path: str, document: Any) -> Any:
        """Change a document and return the answer. Raises ``ApiError``."""
        return self._send("PATCH", path, json=document)

    def send(self, path: str, content: bytes, media_type: str, key: str = "", method: str = "POST") -> bytes:
        """Send a body as it is and return the answer's; ``key`` makes it count once. Raises ``ApiError``."""
        headers = {"Content-Type": media_type, **({"Idempotency-Key": key} if key else {})}
        return self._respond(method, path, content=content, headers=headers).content

    def items(self, resource: str, **query: str | int) -> Iterator[Any]:
        """Yield the items of all pages of a list. Raises ``ApiError``."""
        cursor = ""
        while True:
            page = self.get(resource, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next") or ""
            if not cursor:
                return

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._respond(method, path, **options)
        return response.json() if response.content else None

    def _respond(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise ApiError(response.status_code, f"{method} {path}: {response.status_code} {response.text[:300]}")
        return response
