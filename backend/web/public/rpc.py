"""Read-only JSON-RPC access to the embedded chain, so that others can verify without trusting our answers."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue

from backend.domain.errors import LedgerUnavailable
from backend.domain.strict_json import HostileJson, loads
from backend.services.bundles import trust_of
from backend.services.ports import JsonRpc, NodeRefused
from backend.web.context import current_context, instance

blueprint = Blueprint("rpc", __name__)

LARGEST_REQUEST = 64 * 1024
LARGEST_BATCH = 20
RATE = "1200 per minute"

# JSON-RPC 2.0, section 5.1; the last one is "resource unavailable" of EIP-1474.
_PARSE_ERROR, _INVALID_REQUEST, _INVALID_PARAMS, _UNAVAILABLE = -32700, -32600, -32602, -32002


@blueprint.route("/rpc", methods=["POST"])
def rpc() -> ResponseReturnValue:
    """Answer one request or a batch of at most ``LARGEST_BATCH``. 404 where the ledger is on an external node."""
    node = instance().node
    if node is None:
        abort(404)
    if (request.content_length or 0) > LARGEST_REQUEST:
        abort(413)
    try:
        asked = loads(request.get_data(cache=False))
    except HostileJson as error:
        return jsonify(_error(None, _PARSE_ERROR, str(error)))
    if not isinstance(asked, list):
        return _sent(_answer(node, asked))
    if not 0 < len(asked) <= LARGEST_BATCH:
        return jsonify(_error(None, _INVALID_REQUEST, f"a batch holds 1 to {LARGEST_BATCH} requests"))
    return _sent([answer for one in asked if (answer := _answer(node, one)) is not None])


def _sent(answered: Any) -> ResponseReturnValue:
    """Return the answers, or no content if all were notifications (JSON-RPC 2.0, sections 4.1 and 6)."""
    return jsonify(answered) if answered else ("", 204)


@blueprint.after_request
def _for_browsers(response: Response) -> Response:
    """Allow scripts of any site to ask (CORS): everything here is public, and no cookie counts."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    return response


def _answer(node: JsonRpc, asked: Any) -> dict[str, Any] | None:
    """Answer one request. None for a notification, that is a request without id, which must not be answered."""
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        return _error(None, _INVALID_REQUEST, "a request is an object with a method")
    number, params = asked.get("id"), asked.get("params", [])
    if isinstance(number, bool) or not isinstance(number, str | int | float | None):
        return _error(None, _INVALID_REQUEST, "an id is a string, a number or null")
    if asked.get("jsonrpc") != "2.0":
        return _error(number, _INVALID_REQUEST, 'jsonrpc is "2.0"')
    if not isinstance(params, list | dict):
        return _error(number, _INVALID_REQUEST, "params is a list")
    if isinstance(params, dict):
        told = _error(number, _INVALID_PARAMS, "params is a list: these methods name no parameters")
        return told if "id" in asked else None
    return _called(node, asked["method"], params, number) if "id" in asked else None  # nothing here has an effect


def _called(node: JsonRpc, method: str, params: list[Any], number: Any) -> dict[str, Any]:
    try:
        if method == "provenport_trust":  # which ledger on this chain is ours, and who may speak for it
            own = trust_of(current_context(), urlsplit(instance().address).netloc).as_json()
            return {"jsonrpc": "2.0", "id": number, "result": own}
        return {"jsonrpc": "2.0", "id": number, "result": node(method, params)}
    except NodeRefused as refusal:
        return _error(number, refusal.code, str(refusal), refusal.data)
    except LedgerUnavailable as error:
        return _error(number, _UNAVAILABLE, str(error))


def _error(number: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": told}
