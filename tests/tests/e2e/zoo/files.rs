//! Files that never become a plugin. The entry is broken from the start, and its key is refused
//! until something sound is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use countersign_host::Code;
use countersign_tests::process;

use super::COMPONENT;
use super::animal::{Animal, other_wit};
use super::cage::{Body, Specimen, honest};

pub fn all() -> Vec<Specimen> {
    [none(), bytes(), contracts(), starts()].concat()
}

/// Files that are not components at all.
fn none() -> Vec<Specimen> {
    let missing = |name, body, words| Specimen::new(name, body, Code::Missing.as_str(), words);
    vec![
        missing("no-file", Body::Nothing, "cannot read"),
        missing("folder", Body::Folder, "not a regular file"),
        missing("pipe", Body::Pipe, "not a regular file"),
        Specimen::new(
            "device-without-end",
            Body::LinkTo("/dev/zero"),
            Code::Custody.as_str(),
            "more than its owner",
        ),
        missing(
            "link-to-nothing",
            Body::LinkTo("/nowhere.wasm"),
            "cannot read",
        ),
    ]
}

fn bytes() -> Vec<Specimen> {
    let no_component = "not a WebAssembly component";
    let file = |name, bytes: &[u8], code: Code, words| {
        Specimen::new(name, Body::Bytes(bytes.to_vec()), code.as_str(), words)
    };
    let none = |name, bytes: &[u8], words| file(name, bytes, Code::NotAComponent, words);
    let whole = honest();
    let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    vec![
        none("empty", b"", no_component),
        none("text-form", b"(component)", no_component),
        none("script", b"#!/bin/sh\nexit 0\n", no_component),
        none("native-program", &me[..1 << 16], no_component),
        none("machine-code", &machine_code(&whole), no_component),
        none("core-module", &Animal::default().module(), "component"),
        none("truncated", &whole[..whole.len() / 2], "unexpected end"),
        none(
            "truncated-by-one-byte",
            &whole[..whole.len() - 1],
            "unexpected end",
        ),
        none(
            "rubbish-at-the-end",
            &[&whole[..], &[0xff; 64]].concat(),
            no_component,
        ),
        none("does-not-validate", &invalid(), no_component),
        file(
            "first-bytes",
            b"\0asm\x0d\0\x01\0",
            Code::Incompatible,
            "does not fit",
        ),
        file(
            "too-large",
            &vec![0; COMPONENT + 1],
            Code::TooLarge,
            "more than",
        ),
        Specimen::animal(
            "other-than-pinned",
            Animal::evaluating("unreachable"),
            Code::Digest,
            "pinned",
        )
        .pinned(),
    ]
}

/// The precompiled form that the node would run, were it to trust somebody else's compiler.
pub fn machine_code(component: &[u8]) -> Vec<u8> {
    let mut compiler = Command::new(process::program("countersign-node").unwrap());
    compiler
        .arg("plugin-compiler")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = compiler.spawn().unwrap();
    let limits = [64 << 20, 60, 2 << 30, component.len() as u64]
        .map(u64::to_be_bytes)
        .concat();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&[&limits, component].concat())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stdout.starts_with(b"\x7fELF"),
        "{output:?}"
    );
    output.stdout
}

/// The constant's opcode becomes that of a float: the function no longer leaves an i32.
fn invalid() -> Vec<u8> {
    let mut bytes = Animal::evaluating("(i32.const 0x2aaaaaaa)").component();
    let at = bytes
        .windows(6)
        .position(|six| six == [0x41, 0xaa, 0xd5, 0xaa, 0xd5, 0x02])
        .unwrap();
    bytes[at] = 0x43;
    bytes
}

/// Components for another contract, or that want more than was granted.
fn contracts() -> Vec<Specimen> {
    let changed = |name, from: &str, to: &str, words| {
        let animal = Animal {
            wit: other_wit(from, to),
            ..Animal::default()
        };
        Specimen::animal(name, animal, Code::Incompatible, words)
    };
    let wants = |name, interface: &str, function: &str, parameters: usize, words| {
        let parameters = "i32 ".repeat(parameters);
        let import = format!(
            r#"(import "countersign:policy/{interface}@0.1.0" "{function}" (func (param {parameters})))"#
        );
        Specimen::animal(
            name,
            Animal::default().with(import),
            Code::NotGranted,
            words,
        )
    };
    vec![
        changed(
            "contract-from-the-future",
            "policy@0.1.0",
            "policy@0.3.0",
            "built for countersign:policy@0.3.0",
        ),
        changed(
            "changed-record",
            "        attempt: u32,\n",
            "        attempt: u64,\n",
            "u64",
        ),
        wants("wants-http", "http", "send", 11, "policy/http"),
        wants("wants-keys", "keys", "public-key", 3, "policy/keys"),
        wants("wants-state", "state", "delete", 3, "policy/state"),
    ]
}

/// Components that misbehave before they are asked anything.
fn starts() -> Vec<Specimen> {
    let spin = "(loop (br 0)) unreachable";
    let starting =
        |body: &str| Animal::default().with(format!("(func $start {body})(start $start)"));
    let describing = |body: &str| Animal {
        describe: body.into(),
        ..Animal::default()
    };
    let checking = |body: &str| Animal {
        check: body.into(),
        ..Animal::default()
    };
    let huge = Animal {
        memory: r#"(memory (export "memory") 200)"#.into(),
        ..Animal::default()
    };
    let cpu = |name, animal| Specimen::animal(name, animal, Code::Cpu, "100 ms of CPU");
    let trap = |name, animal| Specimen::animal(name, animal, Code::Trap, "unreachable");
    vec![
        cpu("loop-in-start", starting("(loop (br 0))")),
        cpu("loop-in-describe", describing(spin)),
        cpu("loop-in-check", checking(spin)),
        trap("trap-in-start", starting("unreachable")),
        trap("trap-in-check", checking("unreachable")),
        Specimen::animal(
            "description-outside",
            describing("(i32.const -64)"),
            Code::Trap,
            "out of bounds",
        ),
        Specimen::animal(
            "memory-from-the-start",
            huge,
            Code::Memory,
            "8388608 are granted",
        ),
        Specimen::animal(
            "table-from-the-start",
            Animal::default().with("(table 10000000 funcref)"),
            Code::NotAComponent,
            "table",
        ),
    ]
}
