#!/usr/bin/env python3
"""Packs a program as a container image: an OCI image layout in one tar file, made without an engine and without a registry.

    packaging/oci.py countersign-node dist/packages/countersign-node.oci.tar

The root folder has the program, the libraries that it is linked with, the certificates of public issuers, and the files that
name its user; no shell, no package manager, nothing with rights of its own. The same inputs give the same bytes: layers are not
compressed, since compressors differ, and everything bears the time of SOURCE_DATE_EPOCH. `manifest.json` is for engines that
read the older format of `docker save`."""

import datetime
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

RELEASE = pathlib.Path("dist/release")
USER = 65532
REPOSITORY = "https://github.com/countersign/countersign"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# For each program: what it is, its arguments, its ports, and the example of its configuration.
PROGRAMS = {
    "countersign-node": (
        "A co-signer node: holds key shares, asks your risk control, and takes part in threshold signatures",
        ["start", "--config", "/etc/countersign-node/node.yaml"],
        [],
        "node.yaml",
    ),
    "countersign-coordinator": (
        "Takes orders over HTTP, asks co-signer nodes over QUIC, and relays what it cannot read",
        ["serve", "--config", "/etc/countersign-coordinator/coordinator.yaml"],
        ["7443/udp", "7480/tcp"],
        "coordinator.yaml",
    ),
}


class Layer:
    """A tar file that depends on nothing but what is put into it."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)
        self.folders = set()

    def folder(self, path, mode=0o755, owner=0):
        parent = os.path.dirname(path)
        if parent and parent not in self.folders:
            self.folder(parent)
        self.folders.add(path)
        self._add(path, tarfile.DIRTYPE, mode, owner)

    def file(self, path, content, mode=0o644):
        parent = os.path.dirname(path)
        if parent not in self.folders:
            self.folder(parent)
        self._add(path, tarfile.REGTYPE, mode, 0, content)

    def _add(self, path, kind, mode, owner, content=b""):
        entry = tarfile.TarInfo(path)
        entry.type = kind
        entry.mode = mode
        entry.uid = entry.gid = owner
        entry.mtime = self.epoch
        entry.size = len(content)
        self.tar.addfile(entry, io.BytesIO(content))

    def finish(self):
        self.tar.close()
        return self.bytes.getvalue()


def libraries(program):
    """The shared libraries of a program, and the loader, by the paths under which it looks for them."""
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def notices(paths):
    """The copyright files of the Debian packages that these files come from."""
    for path in paths:
        for name in (path, os.path.realpath(path), "/usr" + path):
            found = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True)
            if found.returncode == 0:
                package = found.stdout.split(":")[0]
                yield f"/usr/share/doc/{package}/copyright"
                break


def system(name, epoch):
    """The layer below the program: it changes only with the system that it is built on."""
    layer = Layer(epoch)
    needed = libraries(RELEASE / "bin" / name)
    for path in needed + [CERTIFICATES] + sorted(set(notices(needed))):
        mode = 0o755 if path in needed else 0o644
        layer.file(path.lstrip("/"), pathlib.Path(path).read_bytes(), mode)
    nobody = f"countersign:x:{USER}:"
    layer.file("etc/passwd", f"root:x:0:0::/:/nonexistent\n{nobody}{USER}::/var/lib/{name}:/nonexistent\n".encode())
    layer.file("etc/group", f"root:x:0:\n{nobody}\n".encode())
    layer.file("etc/nsswitch.conf", b"hosts: files dns\n")
    layer.folder("tmp", 0o1777)
    for mounted in ("proc", "sys", "dev"):
        layer.folder(mounted)
    return layer.finish()


def program(name, epoch):
    layer = Layer(epoch)
    layer.file(f"usr/bin/{name}", (RELEASE / "bin" / name).read_bytes(), 0o755)
    if name == "countersign-node":
        for plugin in sorted((RELEASE / "plugins").glob("*.wasm")):
            layer.file(f"usr/lib/{name}/plugins/{plugin.name}", plugin.read_bytes())
        layer.file(f"usr/lib/{name}/rules/start.yaml", pathlib.Path("docs/rules-start.yaml").read_bytes())
    for text in sorted((RELEASE / "doc" / name).iterdir()):
        layer.file(f"usr/share/doc/{name}/{text.name}", text.read_bytes())
    layer.file(f"usr/share/doc/{name}/LICENSE", pathlib.Path("LICENSE").read_bytes())
    example = PROGRAMS[name][3]
    layer.file(f"usr/share/doc/{name}/examples/{example}", (RELEASE / "etc" / example).read_bytes())
    layer.folder(f"etc/{name}")
    layer.folder(f"var/lib/{name}", 0o700, USER)
    return layer.finish()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(kind, content, **more):
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(content), "size": len(content), **more}


def config(name, version, epoch, layers):
    title, arguments, ports, _ = PROGRAMS[name]
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    revision = re.search(r"^sources: (.*)$", (RELEASE / "BUILD").read_text(), re.MULTILINE)[1]
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": [f"/usr/bin/{name}"],
            "Cmd": arguments,
            "WorkingDir": f"/var/lib/{name}",
            "Env": ["PATH=/usr/bin"],
            "Volumes": {f"/var/lib/{name}": {}},
            "ExposedPorts": {port: {} for port in ports},
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": name,
                "org.opencontainers.image.description": title,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": revision,
                "org.opencontainers.image.created": created,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.source": REPOSITORY,
                "org.opencontainers.image.documentation": f"{REPOSITORY}/blob/main/docs/packages.md",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [
            {"created": created, "created_by": "packaging/oci.py", "comment": "libraries and certificates"},
            {"created": created, "created_by": "packaging/oci.py", "comment": name},
        ],
    }


def encoded(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def main():
    name, out = sys.argv[1:]
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    version = json.loads((RELEASE / "doc" / name / f"{name}.cdx.json").read_text())["metadata"]["component"]["version"]
    layers = [system(name, epoch), program(name, epoch)]
    settings = encoded(config(name, version, epoch, layers))
    manifest = encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", settings),
            "layers": [descriptor("layer.v1.tar", layer) for layer in layers],
        }
    )
    tag = f"{name}:{version}"
    names = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"docker.io/library/{tag}"}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor("manifest.v1+json", manifest, annotations=names)],
    }
    blobs = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (settings, manifest, *layers)}
    place = {blob: path for path, blob in blobs.items()}
    older = [{"Config": place[settings], "RepoTags": [tag], "Layers": [place[layer] for layer in layers]}]
    image = Layer(epoch)
    image.folders.add("")
    image.file("oci-layout", encoded({"imageLayoutVersion": "1.0.0"}))
    image.file("index.json", encoded(index))
    image.file("manifest.json", encoded(older))
    for path, blob in sorted(blobs.items()):
        image.file(path, blob)
    pathlib.Path(out).write_bytes(image.finish())


main()
