"""What the document cannot say: ids that exist here, and bodies that are signed.

`seeds.json`, which `run.sh` writes, has them. Half of the generated requests are sent to what exists, so that answers of
success are held to the document as well as refusals.
"""

import copy
import json
import os
import zlib

import schemathesis

with open(os.environ["SEEDS"]) as file:
    SEEDS = json.load(file)


def half(value):
    """The same for the same value, so that a failure can be repeated."""
    return zlib.crc32(repr(value).encode()) % 2 == 0


def chosen(operation, name):
    """The real value of a path parameter. What is deleted is never what the others need."""
    if name == "id":
        kind = "waiting" if operation.endswith("/cancel") else "task" if "/tasks/" in operation else "wallet"
        return SEEDS[kind]
    return SEEDS["name"]


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    operation = context.operation
    if not path_parameters or operation.method.upper() == "DELETE":
        return path_parameters
    if not half(path_parameters):
        return path_parameters
    return {name: chosen(operation.path, name) for name in path_parameters}


@schemathesis.hook
def map_query(context, query):
    if not query:
        return query
    # A long poll is the same request, only slower.
    if "wait" in query:
        query["wait"] = 0
    if "path" in query and half(query):
        query["path"] = "m/0/1,m/44/60"
    if "wallet" in query and half(query):
        query["wallet"] = SEEDS["wallet"]
    return query


@schemathesis.hook
def map_body(context, body):
    sound = SEEDS["bodies"].get(context.operation.definition.raw.get("operationId"))
    if sound is None or not half(body):
        return body
    return copy.deepcopy(sound)
