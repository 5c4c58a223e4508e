"""Loading and unloading of models under /v2: for an administrator, and only where it is enabled."""

import logging

from fastapi import APIRouter, Depends, Request, Response

from app.authentication import Admin
from app.errors import NotEnabled
from app.service import ServiceDep
from app.v2_bodies import require_nothing

logger = logging.getLogger("nelbo.control")


async def _require_enabled(service: ServiceDep) -> None:
    """Refuse where nobody may, whatever their key.

    Raises:
        NotEnabled: `not-enabled`.
    """
    if not service.settings.v2_control:
        raise NotEnabled(
            "not-enabled",
            "Loading and unloading over HTTP is not enabled here: the service follows its folder of models, "
            "NELBO_MODELS. Add or remove a version there.",
        )


router = APIRouter(prefix="/v2/repository/models/{name}", dependencies=[Depends(_require_enabled)])


@router.post("/load", operation_id="v2_load", response_class=Response)
async def load(request: Request, service: ServiceDep, admin: Admin) -> None:
    """Look at the folder now, and serve what it holds of this model."""
    require_nothing(await service.intake.whole(request))
    name = request.path_params["name"]
    await service.shelf.load(name)
    logger.info("%s was loaded by the key %s", name, admin.name)


@router.post("/unload", operation_id="v2_unload", response_class=Response)
async def unload(request: Request, service: ServiceDep, admin: Admin) -> None:
    """Serve no version of this model, whatever the folder holds, until it is loaded or the service starts again."""
    require_nothing(await service.intake.whole(request))
    name = request.path_params["name"]
    await service.shelf.unload(name)
    logger.info("%s was unloaded by the key %s", name, admin.name)
