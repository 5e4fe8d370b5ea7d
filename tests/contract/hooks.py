"""What the document cannot say: ids that exist here, and bodies that are signed.

`seeds.json`, which `run.sh` writes, has them. Half of the generated requests are sent to what exists, so that answers of
success are held to the document as well as refusals. `succeeded`, beside it, gets the operations that had one.
"""

import atexit
import copy
import json
import os
import pathlib
import urllib.request
import zlib

import schemathesis
from schemathesis.generation.modes import GenerationMode

with open(os.environ["SEEDS"]) as file:
    SEEDS = json.load(file)
SUCCEEDED = set()


def half(value):
    """The same for the same value, so that a failure can be repeated."""
    return zlib.crc32(repr(value).encode()) % 2 == 0


def chosen(operation, name):
    """The real value of a path parameter. What is deleted is never what the others need."""
    if name == "id":
        kind = "task" if "/tasks/" in operation else "wallet"
        kinds = {"cancel": "waiting", "votes": "voted"}
        return SEEDS[kinds.get(operation.rsplit("/")[-1], kind)]
    return SEEDS["name"]


def replace_parameters(case):
    operation = case.operation
    parameters = case.path_parameters
    if parameters and operation.method.upper() != "DELETE" and half(parameters):
        case.path_parameters = {name: chosen(operation.path, name) for name in parameters}
    query = case.query
    if query and half(query):
        if "path" in query:
            query["path"] = "m/0/1,m/44/60"
        if "wallet" in query:
            query["wallet"] = SEEDS["wallet"]


def replace_body(case):
    sound = SEEDS["bodies"].get(case.operation.definition.raw.get("operationId"))
    if sound is not None and half(case.body):
        case.body = copy.deepcopy(sound)


def end_drain():
    headers = {"Authorization": f"Bearer {SEEDS['key']}", "Content-Type": "application/json"}
    body = json.dumps({"draining": False}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{SEEDS['base']}/drain", body, headers, method="PUT")).close()


@schemathesis.hook
def after_call(context, case, response):
    operation = case.operation.definition.raw.get("operationId")
    if response.status_code < 300:
        SUCCEEDED.add(operation)
        # A coordinator that drains begins no task, so the other operations would see only tasks that wait.
        if operation == "setDrain":
            end_drain()


@atexit.register
def tell():
    pathlib.Path(os.environ["SEEDS"]).with_name("succeeded").write_text("\n".join(sorted(SUCCEEDED)))


@schemathesis.hook
def before_call(context, case, kwargs):
    # A long poll is the same request, only slower.
    if case.query and "wait" in case.query:
        case.query["wait"] = 0
    # What was made wrong on purpose stays wrong.
    if case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE:
        replace_parameters(case)
        replace_body(case)
