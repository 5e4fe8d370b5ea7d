"""Gives a new coordinator something of everything: `configure` writes its files, `fill` asks it for the rest. `judge`
fails if an operation of its document was never answered with success."""

import hashlib
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent


def write(file, text):
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


def configure(folder, port):
    made = json.loads((folder / "made").read_text())
    nodes = json.loads((HERE / "seed.json").read_text())["nodes"]
    coordinator = {
        "data": ".",
        "listen_http": f"127.0.0.1:{port}",
        "listen_quic": "127.0.0.1:0",
        "nodes": [{"name": name, "id": node} for name, node in nodes.items()],
        "api_keys": [made["entry"]],
        "approvers": [{"name": "ann", "keys": [(folder / "approver").read_text().split()[-1]]}],
    }
    profile = {
        "coordinator": f"http://127.0.0.1:{port}",
        "api_key_file": "api.key",
        "requester_key_file": "requester.key",
        "nodes": nodes,
    }
    header = f'[headers]\nAuthorization = "Bearer {made["key"]}"\n'
    for name, text in [
        ("coordinator.yaml", json.dumps(coordinator)),
        ("profile.yaml", json.dumps(profile)),
        ("api.key", made["key"]),
        ("schemathesis.toml", header),
    ]:
        write(folder / name, text)


def asking(folder, port):
    key = json.loads((folder / "made").read_text())["key"]

    def ask(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    return key, ask


def until_in(state, ask, other_than=None):
    """The id of a task in this state, once there is one."""
    found = []
    while not found:
        time.sleep(0.1)
        tasks = ask("GET", f"/tasks?state={state}")["tasks"]
        found = [task["id"] for task in tasks if task["id"] != other_than]
    return found[0]


def vote(folder, port):
    _, ask = asking(folder, port)
    task = until_in("pending", ask)
    order = ask("GET", f"/tasks/{task}/votes")["hash"]
    command = ["target/debug/countersign", "--config", folder / "profile.yaml", "--json", "task", "vote", task]
    choice = ["--approve", "--key", folder / "approver.key", "--yes", "--hash", order]
    given = subprocess.run(command + choice, check=True, capture_output=True).stdout
    said = {"task": task, "vote": json.loads(given)["count"]["votes"][0]["vote"]}
    write(folder / "voted", json.dumps(said))


def fill(folder, port):
    key, ask = asking(folder, port)
    voted = json.loads((folder / "voted").read_text())
    seed = json.loads((HERE / "seed.json").read_text())
    wallet = ask("POST", "/wallets", seed["import"])
    spec = {"sha256": hashlib.sha256(b"seed").hexdigest(), "scopes": ["read"]}
    ask("PUT", "/api-keys/seed", spec)
    # Nothing is sent anywhere.
    webhook = {"url": "https://receiver.invalid/hook", "enabled": False}
    ask("PUT", "/webhooks/seed", webhook)
    kid = ask("GET", "/webhook-keys")["keys"][0]["kid"]
    task = ask("GET", f"/tasks/{until_in('waiting', ask, voted['task'])}")
    seeds = {
        "base": f"http://127.0.0.1:{port}/v1",
        "key": key,
        "wallet": wallet["id"],
        "task": wallet["task"],
        "waiting": task["id"],
        "voted": voted["task"],
        "name": "seed",
        "bodies": {
            "submitTask": {"task": task["task"], "signature": task["signature"]},
            "voteOnTask": voted["vote"],
            "importWallet": seed["import"],
            "putApiKey": spec,
            "rotateApiKey": {"sha256": spec["sha256"]},
            "expireApiKey": {"expires": None},
            "putWebhook": webhook,
            "resendEvents": {"since": 0},
            "setDrain": {"draining": True},
            "rotateWebhookKey": {"kid": kid},
        },
    }
    write(folder / "seeds.json", json.dumps(seeds))


def judge(folder, port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/openapi.json") as answer:
        paths = json.load(answer)["paths"].values()
    operations = {operation["operationId"] for path in paths for operation in path.values()}
    never = operations - set((folder / "succeeded").read_text().split())
    if never:
        sys.exit(f"never answered with success: {', '.join(sorted(never))}; add what they need to tests/contract/seed.py")
    print(f"Each of the {len(operations)} operations was answered with success.")


{"configure": configure, "vote": vote, "fill": fill, "judge": judge}[sys.argv[1]](pathlib.Path(sys.argv[2]), sys.argv[3])
