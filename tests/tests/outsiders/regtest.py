"""A regtest chain in Bitcoin Core's own validation (`py-bitcoinkernel`), mined here block by block.

The same scripts give the same chain every time: the first block pays to them, and a hundred more let them be spent.
"""

import hashlib
import struct
import tempfile
from pathlib import Path

MATURITY = 100
EASIEST = 0x207FFFFF
GENESIS_TIME = 1296688602
VALUE = 10**9


def twice(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def size(number):
    if number < 0xFD:
        return bytes([number])
    return b"\xfd" + struct.pack("<H", number)


def sized(data):
    return size(len(data)) + data


def height_script(height):
    """BIP-34, and a byte that makes it long enough."""
    if height <= 16:
        return bytes([0x50 + height, 0])
    number = height.to_bytes((height.bit_length() + 8) // 8, "little")
    return sized(number) + b"\0"


def coinbase(height, outputs, commitment=None):
    """The transaction with and without its witness."""
    if commitment:
        outputs = outputs + [(0, bytes.fromhex("6a24aa21a9ed") + commitment)]
    source = bytes(32) + b"\xff" * 4 + sized(height_script(height)) + b"\xff" * 4
    paid = b"".join(struct.pack("<q", value) + sized(script) for value, script in outputs)
    inside = b"\x01" + source + size(len(outputs)) + paid
    bare = struct.pack("<i", 2) + inside + bytes(4)
    witness = b"\x01" + sized(bytes(32))
    return struct.pack("<i", 2) + b"\0\x01" + inside + witness + bytes(4), bare


def mined(previous, height, outputs, transaction=None):
    """A block as bytes. `transaction`: raw with its id and its hash, which differ by the witness."""
    if transaction:
        raw, txid, hash_ = transaction
        commitment = twice(twice(bytes(32) + hash_) + bytes(32))
        first, bare = coinbase(height, outputs, commitment)
        root = twice(twice(bare) + txid)
        content = size(2) + first + raw
    else:
        _, bare = coinbase(height, outputs)
        root = twice(bare)
        content = size(1) + bare
    target = (EASIEST & 0xFFFFFF) << 8 * ((EASIEST >> 24) - 3)
    for nonce in range(1 << 16):
        time = GENESIS_TIME + 600 * height
        header = struct.pack("<i32s32sIII", 0x20000000, previous, root, time, EASIEST, nonce)
        if int.from_bytes(twice(header), "little") <= target:
            return header + content, twice(header)
    raise RuntimeError("no nonce")


def on_regtest(case):
    """Mines to the scripts, then offers each transaction in a block of its own; tells which the chain took."""
    import pbk

    scripts = [bytes.fromhex(script) for script in case["scripts"]]
    with tempfile.TemporaryDirectory() as folder:
        manager = pbk.load_chainman(Path(folder), pbk.ChainType.REGTEST)
        chain = manager.get_active_chain()
        tip = bytes(chain.block_tree_entries[0].block_hash)
        paid = [(VALUE, script) for script in scripts]
        for height in range(1, MATURITY + 1):
            block, tip = mined(tip, height, paid if height == 1 else [(VALUE, b"\x51")])
            manager.process_block(pbk.Block(block))
        assert chain.height == MATURITY
        taken = []
        for raw in map(bytes.fromhex, case["transactions"]):
            txid = bytes(pbk.Transaction(raw).txid)
            height = chain.height + 1
            block, hash_ = mined(tip, height, [(VALUE, b"\x51")], (raw, txid, twice(raw)))
            manager.process_block(pbk.Block(block))
            taken.append(chain.height == height)
            tip = hash_ if taken[-1] else tip
        return {"coinbase": coinbase(1, paid)[1].hex(), "taken": taken}
