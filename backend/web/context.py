"""The ports that this application was put together with, for the request at hand."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from backend.services.ports import AppContext

_NAME = "provenport"


@dataclass(frozen=True)
class Instance:
    """What the pages need to know of the running system besides its ports."""

    version: str
    is_demo: bool = False
    secure_cookies: bool = False


def install(app: Flask, ctx: AppContext, instance: Instance) -> None:
    """Hand the ports to an application."""
    app.extensions[_NAME] = (ctx, instance)


def current_context() -> AppContext:
    """The ports."""
    return cast(AppContext, current_app.extensions[_NAME][0])


def instance() -> Instance:
    """Facts about the running system."""
    return cast(Instance, current_app.extensions[_NAME][1])
