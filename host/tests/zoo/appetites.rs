//! Components that want more time, memory, stack or output than they were granted.

use countersign_host::Code;
use serde_json::json;

use crate::animal::{Animal, VERDICT};
use crate::keeper::{Cage, deed_is_stopped, is_not_loaded, is_stopped};

const LOOP: &str = "(loop (br 0))";

fn looping() -> String {
    format!("{LOOP} unreachable")
}

#[tokio::test]
async fn zoo_a_loop_in_evaluate() {
    is_stopped(
        &Cage::of(&Animal::evaluating(looping())),
        Code::Cpu,
        "100 ms of CPU",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_loop_in_the_allocator() {
    is_stopped(
        &Cage::of(&Animal {
            realloc: looping(),
            ..Animal::default()
        }),
        Code::Cpu,
        "100 ms of CPU",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_loop_in_the_farewell() {
    is_stopped(
        &Cage::of(&Animal {
            farewell: LOOP.into(),
            ..Animal::default()
        }),
        Code::Cpu,
        "100 ms of CPU",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_loop_in_describe() {
    let animal = Animal {
        describe: looping(),
        ..Animal::default()
    };
    is_not_loaded(&Cage::of(&animal), Code::Cpu, "100 ms of CPU").await;
}

#[tokio::test]
async fn zoo_a_loop_in_check() {
    is_not_loaded(
        &Cage::of(&Animal {
            check: looping(),
            ..Animal::default()
        }),
        Code::Cpu,
        "100 ms of CPU",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_loop_in_start() {
    let animal = Animal::default().with(format!("(func $start {LOOP})(start $start)"));
    is_not_loaded(&Cage::of(&animal), Code::Cpu, "100 ms of CPU").await;
}

#[tokio::test]
async fn zoo_a_loop_of_huge_copies() {
    let copy = "(memory.copy (i32.const 0) (i32.const 1) (i32.const 131071))";
    let animal = Animal::evaluating(format!("(loop {copy} (br 0)) unreachable"));
    is_stopped(&Cage::of(&animal), Code::Cpu, "100 ms of CPU").await;
}

#[tokio::test]
async fn zoo_a_loop_of_calls_of_the_host() {
    let animal = Animal::evaluating("(loop (drop (call $now)) (br 0)) unreachable")
        .with(r#"(import "countersign:policy/clock@0.1.0" "now" (func $now (result i64)))"#);
    is_stopped(&Cage::of(&animal), Code::Cpu, "100 ms of CPU").await;
}

#[tokio::test]
async fn zoo_a_nap_of_a_century() {
    let animal = Animal::evaluating(format!("(call $sleep (i64.const -1))(i32.const {VERDICT})"))
        .with(r#"(import "countersign:policy/clock@0.1.0" "sleep" (func $sleep (param i64)))"#);
    is_stopped(&Cage::of(&animal), Code::Timeout, "no answer").await;
}

#[tokio::test]
async fn zoo_naps_without_end() {
    let animal = Animal::evaluating("(loop (call $sleep (i64.const 50)) (br 0)) unreachable")
        .with(r#"(import "countersign:policy/clock@0.1.0" "sleep" (func $sleep (param i64)))"#);
    is_stopped(&Cage::of(&animal), Code::Timeout, "no answer").await;
}

#[tokio::test]
async fn zoo_a_nap_through_wasi() {
    deed_is_stopped(
        json!({ "wasi-sleep": 3_600_000 }),
        Code::Timeout,
        "no answer",
    )
    .await;
}

#[tokio::test]
async fn zoo_memory_page_by_page() {
    let animal = Animal::evaluating("(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable");
    is_stopped(&Cage::of(&animal), Code::Memory, "8388608 are granted").await;
}

#[tokio::test]
async fn zoo_memory_at_once() {
    let animal = Animal::evaluating(format!(
        "(drop (memory.grow (i32.const 65000)))(i32.const {VERDICT})"
    ));
    is_stopped(&Cage::of(&animal), Code::Memory, "8388608 are granted").await;
}

#[tokio::test]
async fn zoo_memory_from_the_start() {
    let animal = Animal {
        memory: r#"(memory (export "memory") 200)"#.into(),
        ..Animal::default()
    };
    is_not_loaded(&Cage::of(&animal), Code::Memory, "8388608 are granted").await;
}

#[tokio::test]
async fn zoo_more_memory_than_a_slot_of_the_pool_has() {
    let animal = Animal {
        memory: r#"(memory (export "memory") 65536)"#.into(),
        ..Animal::default()
    };
    is_not_loaded(&Cage::of(&animal), Code::NotAComponent, "memory").await;
}

#[tokio::test]
async fn zoo_memory_by_the_language_s_allocator() {
    deed_is_stopped(json!("allocate"), Code::Memory, "33554432 are granted").await;
}

#[tokio::test]
async fn zoo_a_table_entry_by_entry() {
    let grow = "(drop (table.grow 0 (ref.null func) (i32.const 1000)))";
    let animal =
        Animal::evaluating(format!("(loop {grow} (br 0)) unreachable")).with("(table 1 funcref)");
    is_stopped(&Cage::of(&animal), Code::Memory, "table").await;
}

#[tokio::test]
async fn zoo_a_table_from_the_start() {
    let animal = Animal::default().with("(table 10000000 funcref)");
    is_not_loaded(&Cage::of(&animal), Code::NotAComponent, "table").await;
}

#[tokio::test]
async fn zoo_recursion() {
    let animal = Animal::evaluating("(call $deep)(i32.const 0)").with("(func $deep (call $deep))");
    is_stopped(&Cage::of(&animal), Code::Stack, "stack").await;
}

#[tokio::test]
async fn zoo_recursion_in_turns() {
    let animal = Animal::evaluating("(call $ping)(i32.const 0)")
        .with("(func $ping (call $pong))(func $pong (call $ping))");
    is_stopped(&Cage::of(&animal), Code::Stack, "stack").await;
}

#[tokio::test]
async fn zoo_recursion_with_a_huge_frame() {
    let locals = "i64 ".repeat(5_000);
    let fields = format!("(func $deep (local {locals}) (call $deep))");
    is_stopped(
        &Cage::of(&Animal::evaluating("(call $deep)(i32.const 0)").with(fields)),
        Code::Stack,
        "stack",
    )
    .await;
}

#[tokio::test]
async fn zoo_recursion_in_a_compiled_language() {
    deed_is_stopped(json!("recurse"), Code::Stack, "stack").await;
}

#[tokio::test]
async fn zoo_a_reason_of_twelve_megabytes() {
    deed_is_stopped(json!({ "reason": 12_000_000 }), Code::Output, "hostcalls").await;
}

#[tokio::test]
async fn zoo_a_log_line_of_eight_megabytes() {
    deed_is_stopped(json!({ "log": [1, 8 << 20] }), Code::Output, "hostcalls").await;
}

#[tokio::test]
async fn zoo_log_lines_without_end() {
    deed_is_stopped(json!({ "log": [100_000, 3] }), Code::Budget, "log lines").await;
}

#[tokio::test]
async fn zoo_prints_a_megabyte() {
    deed_is_stopped(json!({ "print": 1 << 20 }), Code::Internal, "").await;
}

#[tokio::test]
async fn zoo_leaves_the_process() {
    deed_is_stopped(json!("exit"), Code::Exit, "exit").await;
}

#[tokio::test]
async fn zoo_panics() {
    deed_is_stopped(json!("panic"), Code::Trap, "something is wrong").await;
}
