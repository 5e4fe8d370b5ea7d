#!/usr/bin/env python3
"""Prints the list of materials of a program, in CycloneDX 1.5: every crate that `cargo auditable` recorded in it, with the
checksum of Cargo.lock, its licence, and the C libraries that crates bring along.

The list is made from the program and not from its sources, so it tells what was linked. Nothing in it depends on when and
where it is made."""

import hashlib
import json
import pathlib
import re
import struct
import subprocess
import sys
import tomllib
import uuid
import zlib

SECTION = b".dep-v0"
ROOT = pathlib.Path(__file__).resolve().parent.parent
# Libraries in C inside crates: name, licence if it is not the crate's, the file of the crate that has the version, and where.
IN_C = {
    "gmp-mpfr-sys": [("gmp", "LGPL-3.0-or-later OR GPL-2.0-or-later", "gmp-*/configure", r"PACKAGE_VERSION='([\d.]+)'")],
    "aws-lc-sys": [
        ("aws-lc", None, "aws-lc/include/openssl/base.h", r'AWSLC_VERSION_NUMBER_STRING "([\d.]+)"')
    ],
    "secp256k1-sys": [("libsecp256k1", "MIT", "depend/secp256k1/configure.ac", r"_PKG_VERSION_(?:MAJOR|MINOR|PATCH), (\d+)\)")],
    "zstd-sys": [("zstd", "BSD-3-Clause", "Cargo.toml", r'version = "[^"]*\+zstd\.([\d.]+)"')],
}


def recorded(program):
    """The crates that `cargo auditable` recorded in an ELF file of 64 bits."""
    (table,) = struct.unpack_from("<Q", program, 0x28)
    size, count, names = struct.unpack_from("<HHH", program, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", program, table + size * n) for n in range(count)]
    start = headers[names][4]
    for name, _, _, _, offset, length in headers:
        if program[start + name :].split(b"\0", 1)[0] == SECTION:
            return json.loads(zlib.decompress(program[offset : offset + length]))["packages"]
    sys.exit("sbom.py: nothing is recorded in the program; build it with `cargo auditable build`")


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}


def manifests():
    """What each crate says of itself."""
    words = ["cargo", "metadata", "--locked", "--format-version", "1"]
    said = json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout)
    return {(crate["name"], crate["version"]): crate for crate in said["packages"]}


def reference(crate):
    return f"pkg:cargo/{crate['name']}@{crate['version']}"


def component(crate, checksum, manifest):
    found = {
        "type": "library",
        "bom-ref": reference(crate),
        "name": crate["name"],
        "version": crate["version"],
        "purl": reference(crate),
        # A crate that only ran while others were compiled, such as a macro, is not in the program.
        "scope": "excluded" if crate.get("kind") == "build" else "required",
    }
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    licence = manifest.get("license")
    if licence:
        found["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if manifest.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": manifest["repository"]}]
    inside = [in_c(manifest, *library) for library in IN_C.get(crate["name"], ())]
    if inside:
        found["components"] = inside
    return found


def in_c(manifest, name, licence, place, pattern):
    folder = pathlib.Path(manifest["manifest_path"]).parent
    text = "".join(path.read_text() for path in sorted(folder.glob(place)))
    version = ".".join(re.findall(pattern, text)[:3])
    if not version:
        sys.exit(f"sbom.py: {folder.name} does not say its version of {name}; correct IN_C")
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/{name}@{version}?in={folder.name}",
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{name}@{version}",
        "licenses": [{"expression": licence or manifest["license"]}],
    }


def main():
    path = pathlib.Path(sys.argv[1])
    program = path.read_bytes()
    crates = recorded(program)
    sums = checksums()
    said = manifests()
    (root,) = [crate for crate in crates if crate.get("root")]
    parts = [
        component(crate, sums[crate["name"], crate["version"]], said[crate["name"], crate["version"]])
        for crate in crates
        if crate is not root
    ]
    digest = hashlib.sha256(program).hexdigest()
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": reference(root),
                "name": path.name,
                "version": root["version"],
                "purl": reference(root),
                "licenses": [{"expression": "Apache-2.0"}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": sorted(parts, key=lambda part: part["bom-ref"]),
        "dependencies": sorted(
            (
                {
                    "ref": reference(crate),
                    "dependsOn": sorted({reference(crates[n]) for n in crate.get("dependencies", ())}),
                }
                for crate in crates
            ),
            key=lambda edge: edge["ref"],
        ),
    }
    json.dump(bom, sys.stdout, indent=1)
    print()


main()
