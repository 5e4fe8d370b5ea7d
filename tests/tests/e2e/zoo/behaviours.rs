//! Guests that load, and misbehave when they are called.

use countersign_host::Code;
use serde_json::json;

use super::animal::{Animal, CHECKED, ROOM, VERDICT, other_wit};
use super::cage::Specimen;
use super::gate::Gate;

const LOOP: &str = "(loop (br 0))";
/// The import of `$sleep`.
pub const SLEEP: &str =
    r#"(import "countersign:policy/clock@0.1.0" "sleep" (func $sleep (param i64)))"#;
const NOW: &str = r#"(import "countersign:policy/clock@0.1.0" "now" (func $now (result i64)))"#;
/// The beginning of a line that a guest tries to forge in the log.
pub const FORGED: &str = "2026-01-01T00:00:00Z";

pub fn all(gate: &Gate) -> Vec<Specimen> {
    let others = [space(), output(), traps(), answers(), words(), reach(gate)];
    // On a slow machine, these too would use up a CPU budget before they reach their own limit.
    let others = others.into_iter().flatten().map(Specimen::with_ample_cpu);
    time().into_iter().chain(others).collect()
}

/// Computes without end.
pub fn looping() -> Animal {
    Animal::evaluating(format!("{LOOP} unreachable"))
}

/// Sleeps without end.
pub fn napping() -> Animal {
    Animal::evaluating("(loop (call $sleep (i64.const 50)) (br 0)) unreachable").with(SLEEP)
}

fn time() -> Vec<Specimen> {
    let spin = || format!("{LOOP} unreachable");
    let cpu = |name, animal| Specimen::animal(name, animal, Code::Cpu, "100 ms of CPU");
    let late = |name, animal| Specimen::animal(name, animal, Code::Timeout, "no answer");
    let copy = "(memory.copy (i32.const 0) (i32.const 1) (i32.const 131071))";
    vec![
        cpu("loop", looping()),
        cpu(
            "loop-in-allocator",
            Animal {
                realloc: spin(),
                ..Animal::default()
            },
        ),
        cpu(
            "loop-in-farewell",
            Animal {
                farewell: LOOP.into(),
                ..Animal::default()
            },
        ),
        cpu("loop-in-destructor", destroying(LOOP)),
        cpu(
            "loop-of-copies",
            Animal::evaluating(format!("(loop {copy} (br 0)) unreachable")),
        ),
        cpu(
            "loop-of-calls",
            Animal::evaluating("(loop (drop (call $now)) (br 0)) unreachable").with(NOW),
        ),
        Specimen::deed(
            "signs-for-ever",
            json!({ "sign-for-ever": "callback" }),
            "plugin-cpu",
            "100 ms of CPU",
        ),
        late(
            "nap-of-a-century",
            Animal::evaluating(format!("(call $sleep (i64.const -1))(i32.const {VERDICT})"))
                .with(SLEEP),
        ),
        late("naps", napping()),
        Specimen::deed(
            "nap-through-wasi",
            json!({ "wasi-sleep": 3_600_000 }),
            "plugin-timeout",
            "no answer",
        ),
    ]
}

fn space() -> Vec<Specimen> {
    let memory = |name, body: &str| {
        Specimen::animal(
            name,
            Animal::evaluating(body),
            Code::Memory,
            "8388608 are granted",
        )
    };
    let stack = |name, fields: &str| {
        Specimen::animal(
            name,
            Animal::evaluating("(call $deep)(i32.const 0)").with(fields),
            Code::Stack,
            "stack",
        )
    };
    let grow = "(loop (drop (table.grow 0 (ref.null func) (i32.const 1000))) (br 0)) unreachable";
    let frame = format!("(func $deep (local {}) (call $deep))", "i64 ".repeat(5_000));
    vec![
        memory(
            "memory-page-by-page",
            "(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable",
        ),
        memory(
            "memory-at-once",
            "(drop (memory.grow (i32.const 65000))) unreachable",
        ),
        Specimen::deed(
            "memory-of-a-language",
            json!("allocate"),
            "plugin-memory",
            "33554432 are granted",
        ),
        Specimen::animal(
            "table",
            Animal::evaluating(grow).with("(table 1 funcref)"),
            Code::Memory,
            "table",
        ),
        Specimen::animal("handles", hoarding(), Code::Trap, "handle"),
        stack("recursion", "(func $deep (call $deep))"),
        stack(
            "recursion-in-turns",
            "(func $deep (call $pong))(func $pong (call $deep))",
        ),
        stack("recursion-with-a-huge-frame", &frame),
        Specimen::deed(
            "recursion-in-a-language",
            json!("recurse"),
            "plugin-stack",
            "stack",
        ),
        Specimen::deed(
            "remembers-too-much",
            json!({ "remember": 2_000 }),
            "quota",
            "1000 bytes",
        ),
        Specimen::deed(
            "remembers-a-long-value",
            json!({ "remember": 70_000 }),
            "quota",
            "values",
        ),
    ]
}

/// Opens standard output again and again, and closes nothing.
fn hoarding() -> Animal {
    let wit = other_wit(
        "world risk-plugin {",
        "world risk-plugin {\n    import wasi:cli/stdout@0.2.0;",
    ) + "package wasi:io@0.2.0 { interface streams { resource output-stream; } }\n\
           package wasi:cli@0.2.0 { interface stdout { use wasi:io/streams@0.2.0.{output-stream}; \
           get-stdout: func() -> output-stream; } }\n";
    let animal = Animal::evaluating("(loop (drop (call $open)) (br 0)) unreachable");
    Animal { wit, ..animal }
        .with(r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $open (result i32)))"#)
}

/// Creates a resource of its own and drops it; `body` is its destructor.
fn destroying(body: &str) -> Animal {
    let wit = other_wit(
        "world risk-plugin {",
        "world risk-plugin {\n    export cell: interface { resource thing; }",
    );
    let animal = Animal::evaluating(format!(
        "(call $drop (call $new (i32.const 1)))(i32.const {VERDICT})"
    ));
    Animal { wit, ..animal }.with(format!(
        r#"(import "[export]cell" "[resource-new]thing" (func $new (param i32) (result i32)))
        (import "[export]cell" "[resource-drop]thing" (func $drop (param i32)))
        (func (export "cell#[dtor]thing") (param i32) {body})"#
    ))
}

fn output() -> Vec<Specimen> {
    vec![
        Specimen::deed(
            "reason-of-megabytes",
            json!({ "reason": 12_000_000 }),
            "plugin-output",
            "hostcalls",
        ),
        Specimen::deed(
            "log-line-of-megabytes",
            json!({ "log": [1, 8 << 20] }),
            "plugin-output",
            "hostcalls",
        ),
        Specimen::deed(
            "log-without-end",
            json!({ "log": [100_000, 3] }),
            "plugin-budget",
            "log lines",
        ),
        Specimen::deed(
            "prints-a-megabyte",
            json!({ "print": 1 << 20 }),
            "plugin-failed:internal",
            "",
        ),
    ]
}

fn traps() -> Vec<Specimen> {
    let trap = |name, animal, words| Specimen::animal(name, animal, Code::Trap, words);
    let evaluating = |name, body: &str, words| trap(name, Animal::evaluating(body), words);
    let indirect = || Animal::evaluating("(call_indirect (type $t) (i32.const 0))");
    vec![
        evaluating("unreachable", "unreachable", "unreachable"),
        evaluating(
            "division",
            "(i32.div_u (i32.const 1) (i32.const 0))",
            "divide by zero",
        ),
        evaluating(
            "float",
            "(i32.trunc_f32_s (f32.const nan))",
            "conversion to integer",
        ),
        evaluating("read-outside", "(i32.load (i32.const -4))", "out of bounds"),
        evaluating(
            "fill-outside",
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) unreachable",
            "out of bounds",
        ),
        trap(
            "call-of-nothing",
            indirect().with("(type $t (func (result i32)))(table 1 funcref)"),
            "uninitialized element",
        ),
        trap(
            "call-of-another-type",
            indirect().with("(type $t (func (result i32)))(table funcref (elem $f))(func $f)"),
            "indirect call type mismatch",
        ),
        trap(
            "trap-in-farewell",
            Animal {
                farewell: "unreachable".into(),
                ..Animal::default()
            },
            "unreachable",
        ),
        trap(
            "trap-in-destructor",
            destroying("unreachable"),
            "unreachable",
        ),
        trap(
            "trap-in-allocator",
            Animal {
                realloc: "unreachable".into(),
                ..Animal::default()
            },
            "unreachable",
        ),
        Specimen::deed("panic", json!("panic"), "plugin-trap", "something is wrong"),
        Specimen::deed("exit", json!("exit"), "plugin-exit", "exit"),
    ]
}

/// Break the calling convention.
fn answers() -> Vec<Specimen> {
    let trap = |name, animal, words| Specimen::animal(name, animal, Code::Trap, words);
    let allocating = |name, body: String, words| {
        trap(
            name,
            Animal {
                realloc: body,
                ..Animal::default()
            },
            words,
        )
    };
    vec![
        trap(
            "neither-result-nor-error",
            Animal::answering(&[(0, 2)]),
            "discriminant",
        ),
        trap(
            "unknown-verdict",
            Animal::answering(&[(4, 2)]),
            "discriminant",
        ),
        trap(
            "unknown-failure",
            Animal::answering(&[(0, 1), (4, 9)]),
            "discriminant",
        ),
        trap(
            "answer-outside",
            Animal::evaluating("(i32.const -8)"),
            "out of bounds",
        ),
        trap(
            "answer-not-aligned",
            Animal::evaluating(format!("(i32.const {})", VERDICT + 1)),
            "not aligned",
        ),
        trap(
            "reason-outside",
            Animal::rejecting((16, 3), (0xffff_0000, 10)),
            "out of bounds",
        ),
        trap(
            "reason-that-ends-outside",
            Animal::rejecting((16, 3), (131_000, 1_000)),
            "out of bounds",
        ),
        trap(
            "reason-that-wraps-around",
            Animal::rejecting((16, 3), (16, u32::MAX)),
            "out of bounds",
        ),
        trap(
            "reason-not-utf8",
            Animal::rejecting((16, 3), (ROOM, 4)).with_text(b"ab\xff\xfe"),
            "utf-8",
        ),
        trap(
            "reason-in-surrogates",
            Animal::rejecting((16, 3), (ROOM, 3)).with_text(b"\xed\xa0\x80"),
            "utf-8",
        ),
        allocating(
            "memory-outside",
            "(i32.const -16)".into(),
            "beyond end of memory",
        ),
        allocating(
            "memory-not-aligned",
            "(i32.const 70001)".into(),
            "not aligned",
        ),
        allocating(
            "memory-over-its-own-answer",
            format!("(i32.const {CHECKED})"),
            "",
        ),
    ]
}

/// Reject in words that must not be shown verbatim.
fn words() -> Vec<Specimen> {
    let said = |name, reason: &str, code, words| {
        let animal =
            Animal::rejecting((16, 3), (ROOM, reason.len() as u32)).with_text(reason.as_bytes());
        Specimen {
            code,
            ..Specimen::animal(name, animal, Code::Trap, words)
        }
    };
    let coded = |name, code: &str| {
        let animal =
            Animal::rejecting((ROOM, code.len() as u32), (16, 3)).with_text(code.as_bytes());
        Specimen {
            code: "plugin-reject-code",
            ..Specimen::animal(name, animal, Code::Trap, "zoo")
        }
    };
    let failing =
        |name, kind: &'static str, code| Specimen::deed(name, json!({ "fail": kind }), code, kind);
    vec![
        said(
            "reason-for-the-terminal",
            "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}approved",
            "zoo",
            "\\u{202e}approved",
        ),
        said(
            "reason-that-forges-a-line",
            &format!("no\n{FORGED} INFO signed task=1"),
            "zoo",
            "no\\u{a}2026",
        ),
        said(
            "reason-of-sixty-thousand-bytes",
            &"\u{1}".repeat(60_000),
            "zoo",
            "\\u{1}\\u{1}",
        ),
        coded("code-empty", ""),
        coded("code-of-the-host", "plugin-failed:internal"),
        coded("code-too-long", &"a".repeat(65)),
        coded("code-with-a-line-end", "a\nb"),
        Specimen::deed(
            "reason-for-the-terminal-at-length",
            json!({ "reason": 100_000 }),
            "plugin-reject-code",
            "\\u{1b}[2J",
        ),
        failing(
            "fails-misconfigured",
            "misconfigured",
            "plugin-failed:misconfigured",
        ),
        failing(
            "fails-unavailable",
            "unavailable",
            "plugin-failed:unavailable",
        ),
        failing(
            "fails-unsupported",
            "unsupported",
            "plugin-failed:unsupported",
        ),
        failing("fails-internal", "internal", "plugin-failed:internal"),
    ]
}

/// Use a grant for something else.
fn reach(gate: &Gate) -> Vec<Specimen> {
    let asking = |name, url: String, header: &str, code, words| {
        Specimen::deed(name, json!({ "request": [url, header] }), code, words)
    };
    let asks = |name, url: &str, words| asking(name, url.into(), "x", "denied", words);
    let heads =
        |name, header: &str| asking(name, gate.url("/allowed/"), header, "denied", "header");
    let mut all = vec![
        Specimen::deed(
            "signs-no-token",
            json!({ "sign": "callback" }),
            "not-a-jwt",
            "JWTs",
        ),
        Specimen::deed(
            "signs-with-a-key-to-verify-with",
            json!({ "sign": "cb" }),
            "unknown-key",
            "",
        ),
        Specimen::deed(
            "signs-with-the-identity",
            json!({ "sign": "identity" }),
            "unknown-key",
            "",
        ),
        Specimen::deed(
            "signs-with-the-event-key",
            json!({ "sign": "event" }),
            "unknown-key",
            "",
        ),
        Specimen::deed(
            "verifies-with-a-key-to-sign-with",
            json!({ "verify": "callback" }),
            "unknown-key",
            "",
        ),
        Specimen::deed("environment", json!("environment"), "nothing-there", ""),
        asking(
            "another-path",
            gate.url("/forbidden"),
            "x",
            "denied",
            "/forbidden",
        ),
        asking(
            "climbs-out",
            gate.url("/allowed/../forbidden"),
            "x",
            "denied",
            "forbidden",
        ),
        asking(
            "climbs-out-in-disguise",
            gate.url("/allowed/..%2fforbidden"),
            "x",
            "denied",
            "%2f",
        ),
        asking(
            "is-sent-elsewhere",
            gate.url("/allowed/away"),
            "x",
            "status-307",
            "bytes",
        ),
        asks("another-host", "http://127.0.0.2:9/allowed/", "127.0.0.2"),
        asks("another-port", "http://127.0.0.1:10/allowed/", ":10"),
        asks("another-scheme", "https://127.0.0.1:9/allowed/", "https"),
        asks(
            "host-behind-a-user",
            "http://127.0.0.1:9@evil.example/allowed/",
            "evil",
        ),
        asks("file", "file:///etc/passwd", "file"),
        heads("header-host", "Host"),
        heads("header-length", "content-length"),
        asking(
            "no-url",
            "not a url".into(),
            "x",
            "plugin-failed:misconfigured",
            "malformed",
        ),
        asking(
            "nobody-listens",
            "http://127.0.0.1:9/allowed/x".into(),
            "x",
            "plugin-failed:unavailable",
            "connect",
        ),
    ];
    all.extend(gate.url_by_name("/allowed/by-name").map(|url| {
        asking(
            "name-that-leads-to-loopback",
            url,
            "x",
            "denied",
            "may not lead",
        )
    }));
    all
}
