"""Moves a balance through a wallet's endpoint with tools that people use with any node: ethers, viem, web3.py and cast."""

import json
import subprocess
import urllib.error
import urllib.request

TEXT = b"hello from outside"


def with_tools(case):
    """What each tool tells, and what the recipient has received by it. `case` has the URLs of chain and endpoint."""
    rpc(case["chain"], "anvil_setBalance", case["from"], hex(10**19))
    tools = {"ethers": of_node, "viem": of_node, "web3": web3, "cast": cast}
    told = {}
    for value, (name, tool) in enumerate(tools.items(), 1):
        before = balance(case)
        told[name] = tool(name, case, value)
        told[name]["received"] = balance(case) - before
    told["nonce"] = int(rpc(case["chain"], "eth_getTransactionCount", case["from"], "latest"), 16)
    told["page"] = status(case["endpoint"], {"origin": "https://page.example"})
    told["without token"] = status(case["endpoint"].rsplit("/", 1)[0] + "/", {})
    return told


def rpc(url, method, *params):
    with post(url, {}, method, *params) as response:
        return json.load(response)["result"]


def post(url, headers, method, *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    return urllib.request.urlopen(request, timeout=30)


def status(url, headers):
    try:
        return post(url, headers, "eth_accounts").status
    except urllib.error.HTTPError as error:
        return error.code


def balance(case):
    return int(rpc(case["chain"], "eth_getBalance", case["to"], "latest"), 16)


def run(command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def of_node(name, case, value):
    given = {"url": case["endpoint"], "from": case["from"], "to": case["to"], "value": value}
    return run(["node", case["script"], case["packages"], name], json.dumps(given))


def web3(_, case, value):
    from eth_account import Account
    from eth_account.messages import encode_defunct
    from web3 import Web3

    chain = Web3(Web3.HTTPProvider(case["endpoint"]))
    account = chain.eth.accounts[0]
    sent = chain.eth.send_transaction({"from": account, "to": Web3.to_checksum_address(case["to"]), "value": value})
    receipt = chain.eth.wait_for_transaction_receipt(sent, poll_latency=0.1)
    signature = chain.eth.sign(account, data=TEXT)
    signer = Account.recover_message(encode_defunct(TEXT), signature=signature)
    return {"account": account, "status": receipt["status"], "signers": [signer]}


def cast(_, case, value):
    command = [case["cast"], "send", "--unlocked", "--from", case["from"], "--rpc-url", case["endpoint"], "--json"]
    receipt = run([*command, case["to"], "--value", str(value)])
    return {"account": receipt["from"], "status": int(receipt["status"], 16), "signers": []}
