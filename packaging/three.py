#!/usr/bin/env python3
"""Three parties get from nothing to a signed transaction: a bank, which runs the coordinator, a node and the desk that orders; Bob
and Carol, who run a node each. This script plays all of them. Each has a Debian of its own with its own network address, and types
at most ten commands. Nobody edits a file, and nobody copies an id: what passes from one to another is a token, as in a letter,
and six words, as on the telephone.

Prints what is typed and shown. The transaction's signature is verified by eth-account and bip32, which Countersign does not use.
`three.sh` starts this in namespaces of its own."""

import atexit
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pexpect
import rlp
from bip32 import BIP32
from eth_account import Account
from eth_keys import keys

PACKAGES = pathlib.Path("dist/packages").absolute()
MOST = 10
NODE = "--config /etc/countersign-node/node.yaml"
COORDINATOR = "--config /etc/countersign-coordinator/coordinator.yaml"
RULES = "/usr/lib/countersign-node/rules/start.yaml"
PATH = "m/44/60/0/0/0"
SHOWN = re.compile(r"(node|requester) `(\w+)`\s+id\s+\S+\s+words\s+([a-z ]+?)\s*\r\nAsk.*?Type yes: ", re.DOTALL)
# The container's own filter of system calls is older than Landlock.
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"


def outside(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def say(text=""):
    print(text, flush=True)


def as_seen(text):
    """The lines that are on a terminal in the end: progress is shown in place of what was there."""
    lines = []
    for line in text.replace("\r\n", "\n").strip().split("\n"):
        for up in re.findall(r"\x1b\[(\d+)A", line):
            del lines[-int(up) :]
        lines.append(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).rsplit("\r", 1)[-1])
    return lines


class Machine:
    """A fresh Debian that has booted, and whoever sits at it."""

    def __init__(self, base, work, name, number):
        self.name, self.typed, self.address = name, 0, f"10.77.0.{number}"
        self.passphrase = f"{name}'s passphrase, {os.urandom(6).hex()}"
        place = work / name
        for folder in ("upper", "work", "root"):
            (place / folder).mkdir(parents=True)
        self.root = place / "root"
        options = f"lowerdir={base},upperdir={place / 'upper'},workdir={place / 'work'}"
        outside("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        (self.root / "etc/hostname").write_text(f"{name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost {name}\n")
        self.group = pathlib.Path(f"/sys/fs/cgroup/countersign-three-{os.getpid()}-{name}")
        self.group.mkdir()
        nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--directory={self.root}", f"--machine={name}", "--boot"]
        nspawn += [f"--system-call-filter={LANDLOCK}", "--console=passive", "--network-bridge=bridge", f"--bind-ro={PACKAGES}:/packages"]
        inside = f"echo $$ > {self.group}/cgroup.procs; exec \"$@\""
        self.nspawn = subprocess.Popen(
            ["sh", "-c", inside, "sh", *nspawn],
            env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "yes"},
            stdin=subprocess.DEVNULL,
            stdout=open(place / "console", "wb"),
            stderr=subprocess.STDOUT,
        )
        self.wait_for_boot()
        outside("nsenter", "-t", self.init, "-n", "ip", "address", "add", f"{self.address}/24", "dev", "host0")
        outside("nsenter", "-t", self.init, "-n", "ip", "link", "set", "host0", "up")

    def wait_for_boot(self):
        end = time.monotonic() + 90
        while self.nspawn.poll() is None and time.monotonic() < end:
            children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
            self.init = children[0] if children else None
            ready = ["nsenter", "-t", self.init, "-a", "systemctl", "is-system-running", "--wait"]
            if self.init and subprocess.run(ready, capture_output=True, text=True).stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.3)
        said = (self.root.parent / "console").read_text(errors="replace")
        raise SystemExit(f"three.py: {self.name} did not boot:\n{said}")

    def look(self, command):
        """What the play itself looks up. No party types this."""
        words = ["nsenter", "-t", self.init, "-a", "sh", "-c", command]
        return subprocess.run(words, capture_output=True, text=True).stdout

    def type(self, command, answers=(), seconds=120):
        """Types a command and what it asks for, and returns what it showed."""
        self.typed += 1
        say(f"\n{self.name} {self.typed}# {command}")
        inside = ["-t", self.init, "-a", "env", "-i", "HOME=/root", "TERM=dumb", "PATH=/usr/sbin:/usr/bin", "sh", "-c", f"cd; {command}"]
        terminal = pexpect.spawn("nsenter", inside, timeout=seconds, encoding="utf-8", dimensions=(60, 250))
        questions = [question for question, _ in answers]
        shown = ""
        while True:
            at = terminal.expect([pexpect.EOF, *questions])
            shown += terminal.before
            if at == 0:
                break
            shown += terminal.after
            terminal.sendline(answers[at - 1][1](terminal.match))
        terminal.close()
        for line in as_seen(shown):
            say(f"    {line}".rstrip())
        if terminal.exitstatus:
            say(self.look("journalctl --no-pager -u 'countersign*' -n 40"))
            raise SystemExit(f"three.py: {self.name}: {command}: exit code {terminal.exitstatus}")
        return shown

    def off(self):
        if self.nspawn.poll() is None:
            subprocess.run(["nsenter", "-t", self.init, "-a", "systemctl", "poweroff", "--force"], capture_output=True)
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        for folder in sorted(self.group.rglob("*"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        try:
            self.group.rmdir()
        except OSError:
            pass


class Play:
    def __init__(self, base):
        self.base = base
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.machines = []
        # What owners say on the telephone, by role and name.
        self.told = {}
        atexit.register(self.end)
        outside("umount", "-R", "/sys/fs/cgroup")
        outside("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup")
        outside("ip", "link", "set", "lo", "up")
        outside("ip", "link", "add", "bridge", "type", "bridge")
        outside("ip", "link", "set", "bridge", "up")

    def machine(self, name):
        machine = Machine(self.base, self.work, name, len(self.machines) + 1)
        self.machines.append(machine)
        return machine

    def end(self):
        for machine in self.machines:
            machine.off()
            outside("umount", machine.root)
        shutil.rmtree(self.work, ignore_errors=True)

    def compare(self, match):
        """Asks the owner on the telephone, and says yes only to the same words."""
        role, name, words = match[1], match[2], " ".join(match[3].split())
        if self.told.get((role, name)) != words:
            raise SystemExit(f"three.py: `{words}` is shown for {role} {name}, who said `{self.told.get((role, name))}`")
        return "yes"

    def join(self, machine, name, token):
        secret = lambda _: machine.passphrase
        asked = [(r"Paste the token: ", lambda _: token), (r"(?:Type|Ret?ype) password.*?: ", secret)]
        shown = machine.type(f"countersign-node init {NODE} --join - --rules {RULES} --credential", asked)
        self.told["node", name] = re.search(r"Six words of the ID: ([a-z ]+)", shown)[1].strip()
        machine.type("systemctl enable --now countersign-node")

    def confirm(self, machine):
        machine.type(f"countersign-node roster confirm {NODE}", [(SHOWN, self.compare)])


def wait_until(what, is_so, seconds=60):
    """People take longer than this between two commands."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"three.py: {what} did not happen within {seconds} s")
        time.sleep(0.5)


def payment(nonce):
    """An unsigned payment of 0.01 on Ethereum (EIP-1559)."""
    to = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
    return "0x02" + rlp.encode([1, nonce, 10**9, 30 * 10**9, 21000, to, 10**16, b"", []]).hex()


def verify(machine, file, extended, unsigned):
    """By others' libraries: the signature is of that transaction, by the child key of that wallet."""
    signed = bytes.fromhex((machine.root / "root" / file).read_text().strip().removeprefix("0x"))
    fields, asked = rlp.decode(signed[1:]), rlp.decode(bytes.fromhex(unsigned[4:]))
    if fields[:9] != asked:
        raise SystemExit("three.py: another transaction was signed")
    child = keys.PublicKey.from_compressed_bytes(BIP32.from_xpub(extended).get_pubkey_from_path(PATH))
    sender = Account.recover_transaction(signed)
    if sender != child.to_checksum_address():
        raise SystemExit(f"three.py: signed by {sender}, not by {child.to_checksum_address()}")
    say(f"\nVerified by eth-account and bip32: {file} is signed by {sender}, the wallet's child {PATH}.")


def from_nothing_to_a_transaction(play):
    bank, bob, carol = (play.machine(name) for name in ("bank", "bob", "carol"))
    began = time.monotonic()
    as_coordinator = "sudo -u countersign-coordinator countersign-coordinator"
    install = "apt-get install --yes --quiet=2"
    bank.type(f"{install} /packages/countersign-coordinator_*.deb /packages/countersign-node_*.deb /packages/countersign_*.deb")
    bank.type(f"{as_coordinator} init --data /var/lib/countersign-coordinator")
    bank.type("systemctl enable --now countersign-coordinator")
    invite = f"{as_coordinator} invite --name alice --name bob --name carol --requester desk --address {bank.address}:7443 {COORDINATOR}"
    tokens = dict(re.findall(r"(?:node|requester) (\w+)\s+(csi1\S+)", bank.type(invite)))
    play.join(bank, "alice", tokens["alice"])
    for machine in (bob, carol):
        machine.type(f"{install} /packages/countersign-node_*.deb")
        play.join(machine, machine.name, tokens[machine.name])
    asked = [(r"Paste the token: ", lambda _: tokens["desk"]), (SHOWN, play.compare)]
    shown = bank.type("countersign requester join - --new-profile", asked)
    play.told["requester", "desk"] = re.search(r"recognise you:\s+([a-z ]+)", shown)[1].strip()
    proposals = "grep -c 'kind' /var/lib/countersign-node/proposals.yaml"
    wait_until("that everybody heard of everybody", lambda: all(machine.look(proposals).strip() == "3" for machine in play.machines))
    for machine in (bank, bob, carol):
        play.confirm(machine)
    wait_until("that all nodes are online", lambda: bank.look("HOME=/root countersign node list").count("online") == 3)
    shown = bank.type("countersign wallet create treasury --scheme ecdsa-secp256k1 --threshold 2 --nodes alice,bob,carol", seconds=1200)
    extended = re.search(r"extended\s+(xpub\w+)", shown)[1]
    unsigned = payment(0)
    bank.type(f"countersign sign treasury --path {PATH} --evm-transaction {unsigned} --out payment.hex --encoding hex")
    verify(bank, "payment.hex", extended, unsigned)
    minutes = (time.monotonic() - began) / 60
    counts = ", ".join(f"{machine.name} {machine.typed}" for machine in play.machines)
    say(f"\nFrom nothing to a signed transaction in {minutes:.1f} minutes. Commands: {counts}.")
    if any(machine.typed > MOST for machine in play.machines):
        raise SystemExit(f"three.py: a party typed more than {MOST} commands")
    return extended


def back_from_a_backup(play, extended):
    bank, bob, _ = play.machines
    say("\nBob's machine is lost, and comes back from its backup on another.")
    began, bob.typed, bank.typed = time.monotonic(), 0, 0
    of_backup, own = "the passphrase of the backup", bob.passphrase
    secrets = [(r"(?:Type|Ret?ype) password of the backup.*?: ", lambda _: of_backup), (r"Type password: ", lambda _: own)]
    bob.type(f"countersign-node backup {NODE} bob.age", secrets)
    bob.type(f"countersign-node restore {NODE} --drill bob.age", secrets)
    bob.type("tar --create --file bob.tar bob.age -C /etc countersign-node")
    kept = (bob.root / "root/bob.tar").read_bytes()
    bob.off()
    again = play.machine("bob-again")
    (again.root / "root/bob.tar").write_bytes(kept)
    again.type("apt-get install --yes --quiet=2 /packages/countersign-node_*.deb")
    again.type("tar --extract --file bob.tar bob.age && tar --extract --file bob.tar -C /etc countersign-node")
    again.type(f"countersign-node restore {NODE} bob.age", secrets)
    encrypt = "systemd-creds encrypt --name=countersign-passphrase - /etc/credstore.encrypted/countersign-passphrase"
    again.type(f"systemd-ask-password --timeout=0 | {encrypt}", [(r"Password:", lambda _: own)])
    again.type("systemctl enable --now countersign-node")
    wait_until("that Bob's node is online again", lambda: bank.look("HOME=/root countersign node list").count("online") == 3)
    unsigned = payment(1)
    sign = f"countersign sign treasury --path {PATH} --signers alice,bob --evm-transaction {unsigned}"
    bank.type(f"{sign} --out again.hex --encoding hex")
    verify(bank, "again.hex", extended, unsigned)
    say(f"\nBack from its backup in {(time.monotonic() - began) / 60:.1f} minutes; the restored node has signed.")


def inspect(play):
    """What the parties do not look at, and what must be so."""
    for machine in play.machines:
        if machine.nspawn.poll() is not None:
            continue
        foreign = machine.look("find /var/lib/countersign-node ! -user countersign-node")
        writable = machine.look("find /etc/countersign-node /var/lib/countersign-node -perm /022 ! -type l")
        troubles = machine.look("journalctl --no-pager -u 'countersign*' | grep -E ' (ERROR|panicked)|Operation not permitted'")
        secret = machine.look(f"journalctl --no-pager | grep -F \"{machine.passphrase}\"")
        if foreign or writable or troubles or secret:
            raise SystemExit(f"three.py: {machine.name}: {foreign}{writable}{troubles}{secret}")


def main():
    play = Play(pathlib.Path(sys.argv[1]).absolute())
    extended = from_nothing_to_a_transaction(play)
    inspect(play)
    back_from_a_backup(play, extended)
    inspect(play)
    say("\nall is well")


main()
