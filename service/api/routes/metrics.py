"""What Prometheus asks for."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lsr.errors import NotFoundError
from service.api.access import needs
from service.api.errors import ERRORS
from service.api.monitoring import Monitoring

router = APIRouter(tags=["health"])
TEXT = {
    "description": "Prometheus' text format, or OpenMetrics.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[needs("metrics")],
    responses={404: ERRORS[404], 200: TEXT},
)
async def metrics(request: Request) -> Response:
    """Requests, stages of searches, queues, sizes of indexes, unless the setting is false."""
    monitoring: Monitoring = request.app.state.monitoring
    found = monitoring.metrics
    if found is None:
        raise NotFoundError("this server was started without metrics")
    monitoring.sample()
    # In threads apart from those of requests.
    accept = request.headers.get("accept", "")
    body, content_type = await asyncio.to_thread(found.exposition, accept)
    return Response(body, headers={"Content-Type": content_type})
