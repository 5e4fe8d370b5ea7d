"""Approves transfers on listed chains to listed addresses, up to an amount. Everything else is refused.

Every call may run in a new instance: keep nothing in globals between calls. `evaluate` returns a verdict; whatever it
raises refuses the task.
"""

import json
import re
import traceback

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import config, logging
from wit_world.imports.types import (
    Failure_Internal,
    Failure_Misconfigured,
    Failure_Unsupported,
    Info,
    Intent_Transaction,
    Operation_Keygen,
    Operation_Sign,
    Rejection,
    Verdict_Approve,
    Verdict_Reject,
)

DECIMAL = re.compile("[0-9]+")
KEYS = {"chains", "addresses", "max_amount", "min_threshold"}


def told(function):
    """Makes an error in the code refuse the task and report its place. Without this wrapper it would be a mere trap."""

    def wrapped(*parameters):
        try:
            return function(*parameters)
        except Err:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{last.filename.rsplit('/', 1)[-1]}, line {last.lineno}"
            raise Err(Failure_Internal(f"{type(error).__name__}: {error} ({place})"))

    return wrapped


class Plugin(exports.Plugin):
    def describe(self):
        return Info(
            name="__NAME__",
            version="0.1.0",
            description="Transfers on listed chains to listed addresses, up to an amount.",
            config_schema=None,
        )

    @told
    def check(self):
        read_config()

    @told
    def evaluate(self, task):
        rules = read_config()
        match task.operation:
            case Operation_Keygen(keygen):
                return judge_keygen(rules, keygen)
            case Operation_Sign(signing):
                return judge_signing(rules, signing)
            case other:
                raise Err(Failure_Unsupported(f"no rule for {type(other).__name__}"))


def reject(code, reason):
    return Verdict_Reject(Rejection(code, reason))


def read_config():
    try:
        rules = json.loads(config.document())
    except ValueError as error:
        raise Err(Failure_Misconfigured(f"not JSON: {error}"))
    # A misspelt rule must not be silently ignored.
    if rules.keys() != KEYS:
        raise Err(Failure_Misconfigured(f"unknown or missing keys: {sorted(rules.keys() ^ KEYS)}"))
    if not (isinstance(rules["max_amount"], str) and DECIMAL.fullmatch(rules["max_amount"])):
        raise Err(Failure_Misconfigured("max_amount is a decimal in quotes"))
    return rules


def judge_keygen(rules, keygen):
    if keygen.threshold < rules["min_threshold"]:
        return reject("threshold-too-low", f"{keygen.threshold} of {len(keygen.members)} nodes")
    return Verdict_Approve()


def judge_signing(rules, signing):
    if not isinstance(signing.intent, Intent_Transaction):
        return reject("not-a-transaction", "only transactions are allowed")
    transaction = signing.intent.value
    if transaction.chain not in rules["chains"]:
        return reject("chain-not-allowed", f"{transaction.chain} is not listed")
    if transaction.calls or transaction.grants:
        return reject("call-not-allowed", "only plain transfers are allowed")
    total = 0
    for destination in transaction.destinations:
        if destination.change:
            continue
        if destination.address not in rules["addresses"]:
            return reject("address-not-allowed", f"{destination.address} is not listed")
        if destination.asset:
            return reject("asset-not-allowed", f"{destination.asset} is not the native asset")
        if not DECIMAL.fullmatch(destination.amount):
            return reject("amount-malformed", f"{destination.amount} is not a decimal")
        total += int(destination.amount)
    if total > int(rules["max_amount"]):
        return reject("amount-too-high", f"{total} exceeds {rules['max_amount']}")
    logging.log(logging.Level.INFO, "within the limit", [("amount", str(total))])
    return Verdict_Approve()
