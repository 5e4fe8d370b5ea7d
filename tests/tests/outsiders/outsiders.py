"""Hands what our nodes signed to programs of others, and tells what those make of it.

The first argument says to whom: `anvil` (a chain of its own on this machine, npm `@foundry-rs/anvil`), `kernel` (Bitcoin Core's
script verification, PyPI `py-bitcoinkernel`), `regtest` (a chain in the same package), `litesvm` (Solana's runtime, PyPI
`solders`) or `tools` (ethers, viem, web3.py and cast, which use a wallet's endpoint). Standard input has one JSON object,
standard output gets one: what happened, never what should have. Nothing here reaches a network.
"""

import json
import re
import subprocess
import sys
import urllib.request

from regtest import on_regtest
from tools import with_tools


def call(url, method, *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def on_anvil(case):
    """Sends raw transactions one after the other; for each the chain's refusal, or its receipt and what moved."""
    command = [case["anvil"], "--host", "127.0.0.1", "--port", "0", "--accounts", "1", "--no-mining"]
    chain = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        listening = (re.search(r"Listening on (127\.0\.0\.1:\d+)", line) for line in chain.stdout)
        url = "http://" + next(found.group(1) for found in listening if found)
        call(url, "anvil_setBalance", case["sender"], hex(10**19))
        return [mined(url, case, raw) for raw in case["transactions"]]
    finally:
        chain.kill()
        chain.wait()


def mined(url, case, raw):
    number = lambda method, *params: int(call(url, method, *params, "latest")["result"], 16)
    before = number("eth_getBalance", case["recipient"])
    sent = call(url, "eth_sendRawTransaction", raw)
    call(url, "evm_mine")
    receipt = call(url, "eth_getTransactionReceipt", sent["result"])["result"] if "result" in sent else None
    return {
        "refused": sent.get("error", {}).get("message"),
        "status": receipt and receipt["status"],
        "from": receipt and receipt["from"],
        "received": str(number("eth_getBalance", case["recipient"]) - before),
        "nonce": number("eth_getTransactionCount", case["sender"]),
        "code": call(url, "eth_getCode", case["sender"], "latest")["result"],
    }


def in_the_kernel(case):
    """For each transaction, whether Bitcoin Core's rules take each of its inputs."""
    import pbk

    spent = [
        pbk.TransactionOutput(pbk.ScriptPubkey(bytes.fromhex(output["script"])), output["amount"])
        for output in case["spent"]
    ]

    def takes(transaction, index):
        known = pbk.script.PrecomputedTransactionData(transaction, spent)
        output, rules = spent[index], pbk.ScriptVerificationFlags.ALL
        return bool(output.script_pubkey.verify(output.amount, transaction, known, index, rules))

    transactions = [pbk.Transaction(bytes.fromhex(raw)) for raw in case["transactions"]]
    return [[takes(transaction, index) for index in range(len(spent))] for transaction in transactions]


def in_litesvm(case):
    """Executes transactions one after the other; for each the error, if there is one, and both balances afterwards."""
    from solders.litesvm import LiteSVM
    from solders.pubkey import Pubkey
    from solders.transaction import Transaction
    from solders.transaction_metadata import FailedTransactionMetadata

    # The message was signed before there was this chain, so it names no block of it.
    chain = LiteSVM().with_blockhash_check(False)
    payer, recipient = Pubkey.from_string(case["payer"]), Pubkey.from_string(case["recipient"])
    chain.airdrop(payer, case["funds"])

    def executed(raw):
        done = chain.send_transaction(Transaction.from_bytes(bytes.fromhex(raw)))
        failed = str(done.err()) if isinstance(done, FailedTransactionMetadata) else None
        return {"failed": failed, "payer": chain.get_balance(payer), "recipient": chain.get_balance(recipient)}

    return [executed(raw) for raw in case["transactions"]]


OUTSIDERS = {
    "anvil": on_anvil,
    "kernel": in_the_kernel,
    "regtest": on_regtest,
    "litesvm": in_litesvm,
    "tools": with_tools,
}
json.dump(OUTSIDERS[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
