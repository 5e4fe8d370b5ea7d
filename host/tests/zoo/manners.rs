//! Answers that break the calling convention, lie about lengths, or are meant for the terminal that
//! shows them.

use countersign_host::{Code, Pipeline, Verdict};

use crate::animal::{Animal, CHECKED, ROOM, VERDICT};
use crate::keeper::{
    Cage, host, is_not_loaded, is_one_clear_sentence, is_stopped, neighbour_approves, services,
    soon, task,
};

async fn stopped(animal: &Animal, words: &str) {
    is_stopped(&Cage::of(animal), Code::Trap, words).await;
}

/// It refuses, and its author is told that the code is none.
async fn no_code(animal: &Animal) {
    is_stopped(
        &Cage::of(animal),
        Code::RejectCode,
        "which is none: write 1 to 64",
    )
    .await;
}

async fn rejection(animal: &Animal) -> (String, String) {
    let plugin = Cage::of(animal).load().await.unwrap();
    let evaluation = plugin.evaluate(&task(), soon()).await;
    neighbour_approves().await;
    match evaluation.verdict {
        Verdict::Reject { code, reason } => {
            is_one_clear_sentence(&reason);
            (code, reason)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn zoo_an_answer_that_is_neither_result_nor_error() {
    stopped(&Animal::answering(&[(0, 2)]), "discriminant").await;
}

#[tokio::test]
async fn zoo_a_verdict_that_does_not_exist() {
    stopped(&Animal::answering(&[(4, 2)]), "discriminant").await;
}

#[tokio::test]
async fn zoo_a_failure_that_does_not_exist() {
    stopped(&Animal::answering(&[(0, 1), (4, 9)]), "discriminant").await;
}

#[tokio::test]
async fn zoo_an_answer_outside_memory() {
    stopped(&Animal::evaluating("(i32.const -8)"), "out of bounds").await;
}

#[tokio::test]
async fn zoo_an_answer_at_the_last_byte() {
    stopped(&Animal::evaluating("(i32.const 131068)"), "out of bounds").await;
}

#[tokio::test]
async fn zoo_an_answer_that_is_not_aligned() {
    stopped(
        &Animal::evaluating(format!("(i32.const {})", VERDICT + 1)),
        "not aligned",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_outside_memory() {
    stopped(
        &Animal::rejecting((16, 3), (0xffff_0000, 10)),
        "out of bounds",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_that_ends_outside_memory() {
    stopped(
        &Animal::rejecting((16, 3), (131_000, 1_000)),
        "out of bounds",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_whose_end_wraps_around() {
    stopped(&Animal::rejecting((16, 3), (16, u32::MAX)), "out of bounds").await;
}

#[tokio::test]
async fn zoo_a_reason_that_is_not_utf8() {
    stopped(
        &Animal::rejecting((16, 3), (ROOM, 4)).with_text(b"ab\xff\xfe"),
        "utf-8",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_cut_within_a_character() {
    stopped(
        &Animal::rejecting((16, 3), (ROOM, 2)).with_text("€".as_bytes()),
        "utf-8",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_in_surrogates() {
    stopped(
        &Animal::rejecting((16, 3), (ROOM, 3)).with_text(b"\xed\xa0\x80"),
        "utf-8",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_reason_for_the_terminal() {
    let text = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}approved";
    let (code, reason) = rejection(
        &Animal::rejecting((16, 3), (ROOM, text.len() as u32)).with_text(text.as_bytes()),
    )
    .await;
    assert_eq!(code, "zoo");
    assert!(
        reason.contains("\\u{1b}") && reason.contains("\\u{202e}"),
        "{reason}"
    );
}

#[tokio::test]
async fn zoo_a_reason_that_forges_a_log_line() {
    let text = "no\n2026-01-01T00:00:00Z INFO signed task=1";
    let (_, reason) = rejection(
        &Animal::rejecting((16, 3), (ROOM, text.len() as u32)).with_text(text.as_bytes()),
    )
    .await;
    assert!(reason.starts_with("no\\u{a}"), "{reason}");
}

#[tokio::test]
async fn zoo_a_reason_of_sixty_thousand_bytes() {
    let (_, reason) = rejection(&Animal::rejecting((16, 3), (ROOM, 60_000))).await;
    assert!(
        reason.ends_with('…') && reason.len() < 1_100,
        "{} bytes",
        reason.len()
    );
}

#[tokio::test]
async fn zoo_an_empty_code() {
    no_code(&Animal::rejecting((16, 0), (16, 3))).await;
}

#[tokio::test]
async fn zoo_a_code_of_the_host() {
    let text = "plugin-failed:internal";
    let animal = Animal::rejecting((ROOM, text.len() as u32), (16, 3)).with_text(text.as_bytes());
    no_code(&animal).await;
}

#[tokio::test]
async fn zoo_a_code_too_long() {
    let text = "a".repeat(65);
    no_code(&Animal::rejecting((ROOM, 65), (16, 3)).with_text(text.as_bytes())).await;
}

#[tokio::test]
async fn zoo_a_code_with_a_line_end() {
    no_code(&Animal::rejecting((ROOM, 3), (16, 3)).with_text(b"a\nb")).await;
}

#[tokio::test]
async fn zoo_unreachable() {
    stopped(&Animal::evaluating("unreachable"), "unreachable").await;
}

#[tokio::test]
async fn zoo_division_by_zero() {
    stopped(
        &Animal::evaluating("(i32.div_u (i32.const 1) (i32.const 0))"),
        "divide by zero",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_float_that_is_not_an_integer() {
    stopped(
        &Animal::evaluating("(i32.trunc_f32_s (f32.const nan))"),
        "conversion to integer",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_read_outside_memory() {
    stopped(
        &Animal::evaluating("(i32.load (i32.const -4))"),
        "out of bounds",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_copy_outside_memory() {
    let copy =
        format!("(memory.fill (i32.const 0) (i32.const 1) (i32.const -1))(i32.const {VERDICT})");
    stopped(&Animal::evaluating(copy), "out of bounds").await;
}

#[tokio::test]
async fn zoo_a_call_of_nothing() {
    let animal = Animal::evaluating("(call_indirect (type $t) (i32.const 0))");
    stopped(
        &animal.with("(type $t (func (result i32)))(table 1 funcref)"),
        "uninitialized element",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_call_with_another_type() {
    let animal = Animal::evaluating("(call_indirect (type $t) (i32.const 0))");
    let fields = "(type $t (func (result i32)))(table funcref (elem $f))(func $f)";
    stopped(&animal.with(fields), "indirect call type mismatch").await;
}

#[tokio::test]
async fn zoo_an_allocator_that_points_outside_memory() {
    stopped(
        &Animal {
            realloc: "(i32.const -16)".into(),
            ..Animal::default()
        },
        "beyond end of memory",
    )
    .await;
}

#[tokio::test]
async fn zoo_an_allocator_that_does_not_align() {
    stopped(
        &Animal {
            realloc: "(i32.const 70001)".into(),
            ..Animal::default()
        },
        "not aligned",
    )
    .await;
}

#[tokio::test]
async fn zoo_an_allocator_that_traps() {
    stopped(
        &Animal {
            realloc: "unreachable".into(),
            ..Animal::default()
        },
        "unreachable",
    )
    .await;
}

#[tokio::test]
async fn zoo_an_allocator_that_overwrites_the_answer_of_check() {
    // Everything lands on the results: nothing but this guest's own answer can be spoilt by it.
    let animal = Animal {
        realloc: format!("(i32.const {CHECKED})"),
        ..Animal::default()
    };
    stopped(&animal, "").await;
}

#[tokio::test]
async fn zoo_a_farewell_that_traps() {
    stopped(
        &Animal {
            farewell: "unreachable".into(),
            ..Animal::default()
        },
        "unreachable",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_description_outside_memory() {
    let animal = Animal {
        describe: "(i32.const -64)".into(),
        ..Animal::default()
    };
    is_not_loaded(&Cage::of(&animal), Code::Trap, "out of bounds").await;
}

#[tokio::test]
async fn zoo_a_check_that_traps() {
    let animal = Animal {
        check: "unreachable".into(),
        ..Animal::default()
    };
    is_not_loaded(&Cage::of(&animal), Code::Trap, "unreachable").await;
}

#[tokio::test]
async fn zoo_a_start_that_traps() {
    let animal = Animal::default()
        .with("(func $start unreachable)")
        .with("(start $start)");
    is_not_loaded(&Cage::of(&animal), Code::Trap, "unreachable").await;
}

/// Components of earlier kits do not say that they count what others sign.
#[tokio::test]
async fn zoo_who_does_not_count_is_not_told_of_what_others_sign() {
    let cage = Cage::of(&Animal::default()).granted(|grants| grants.state_bytes = 1000);
    let pipeline = Pipeline::load(host(), vec![cage.spec.clone()], services())
        .await
        .unwrap();
    let (told, turn) = pipeline.observe(&task(), |_| true, soon()).await.unwrap();
    turn.release();
    assert!(told.is_empty());
}
