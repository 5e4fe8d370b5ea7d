//! Files that are not plugins, or not of this contract.

use countersign_host::{Code, Grants};

use crate::animal::{Animal, other_wit};
use crate::keeper::{Cage, is_not_loaded};

#[tokio::test]
async fn zoo_no_file() {
    let cage = Cage::of(&Animal::default());
    std::fs::remove_file(cage.file()).unwrap();
    is_not_loaded(&cage, Code::Missing, "cannot read").await;
}

#[tokio::test]
async fn zoo_empty_file() {
    is_not_loaded(
        &Cage::holding(b""),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_folder_in_place_of_a_file() {
    let cage = Cage::of(&Animal::default());
    std::fs::remove_file(cage.file()).unwrap();
    std::fs::create_dir(cage.file()).unwrap();
    is_not_loaded(&cage, Code::Missing, "cannot read").await;
}

#[tokio::test]
async fn zoo_text_form() {
    is_not_loaded(
        &Cage::holding(b"(component)"),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_shell_script() {
    is_not_loaded(
        &Cage::holding(b"#!/bin/sh\nexit 0\n"),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_native_program() {
    let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    is_not_loaded(
        &Cage::holding(&me[..1 << 20]),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_core_module() {
    is_not_loaded(
        &Cage::holding(&Animal::default().module()),
        Code::NotAComponent,
        "component",
    )
    .await;
}

#[tokio::test]
async fn zoo_nothing_but_the_first_bytes() {
    is_not_loaded(
        &Cage::holding(b"\0asm\x0d\0\x01\0"),
        Code::Incompatible,
        "does not fit",
    )
    .await;
}

#[tokio::test]
async fn zoo_truncated_in_the_middle() {
    let whole = Animal::default().component();
    is_not_loaded(
        &Cage::holding(&whole[..whole.len() / 2]),
        Code::NotAComponent,
        "unexpected end",
    )
    .await;
}

#[tokio::test]
async fn zoo_truncated_by_one_byte() {
    let whole = Animal::default().component();
    is_not_loaded(
        &Cage::holding(&whole[..whole.len() - 1]),
        Code::NotAComponent,
        "unexpected end",
    )
    .await;
}

#[tokio::test]
async fn zoo_rubbish_at_the_end() {
    let more = [&Animal::default().component()[..], &[0xff; 64]].concat();
    is_not_loaded(
        &Cage::holding(&more),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_code_that_does_not_validate() {
    let mut bytes = Animal::evaluating("(i32.const 0x2aaaaaaa)").component();
    // The constant's opcode becomes that of a float: the function no longer leaves an i32.
    let at = bytes
        .windows(6)
        .position(|six| six == [0x41, 0xaa, 0xd5, 0xaa, 0xd5, 0x02])
        .unwrap();
    bytes[at] = 0x43;
    is_not_loaded(
        &Cage::holding(&bytes),
        Code::NotAComponent,
        "not a WebAssembly component",
    )
    .await;
}

#[tokio::test]
async fn zoo_other_than_the_pinned_file() {
    let mut cage = Cage::of(&Animal::default());
    cage.spec.digest = Some([7; 32]);
    is_not_loaded(&cage, Code::Digest, "pinned").await;
}

#[tokio::test]
async fn zoo_over_the_size_limit() {
    let padding = vec![0; 33 << 20];
    is_not_loaded(&Cage::holding(&padding), Code::TooLarge, "more than").await;
}

#[tokio::test]
async fn zoo_another_name() {
    let mut cage = Cage::of(&Animal::default());
    cage.spec.name = "rules".into();
    is_not_loaded(&cage, Code::Name, "calls itself `zoo`").await;
}

#[tokio::test]
async fn zoo_a_name_that_continues_the_own() {
    let mut cage = Cage::of(&Animal::default());
    cage.spec.name = "zookeeper".into();
    is_not_loaded(&cage, Code::Name, "calls itself `zoo`").await;
}

#[tokio::test]
async fn zoo_a_contract_from_the_future() {
    let animal = Animal {
        wit: other_wit("policy@0.1.0", "policy@0.3.0"),
        ..Animal::default()
    };
    is_not_loaded(
        &Cage::of(&animal),
        Code::Incompatible,
        "built for countersign:policy@0.3.0",
    )
    .await;
}

#[tokio::test]
async fn zoo_a_changed_record() {
    let wit = other_wit("        attempt: u32,\n", "        attempt: u64,\n");
    is_not_loaded(
        &Cage::of(&Animal {
            wit,
            ..Animal::default()
        }),
        Code::Incompatible,
        "u64",
    )
    .await;
}

#[tokio::test]
async fn zoo_imports_something_unknown() {
    let wit = other_wit(
        "world risk-plugin {",
        "world risk-plugin {\n    import door: interface { open: func(); }",
    );
    let animal = Animal {
        wit,
        ..Animal::default()
    }
    .with(r#"(import "door" "open" (func))"#);
    is_not_loaded(&Cage::of(&animal), Code::NotGranted, "imports door").await;
}

#[tokio::test]
async fn zoo_imports_a_function_that_the_contract_lacks() {
    let wit = other_wit(
        "    now: func() -> u64;",
        "    now: func() -> u64;\n    tomorrow: func() -> u64;",
    );
    let animal = Animal {
        wit,
        ..Animal::default()
    }
    .with(r#"(import "countersign:policy/clock@0.1.0" "tomorrow" (func (result i64)))"#);
    is_not_loaded(&Cage::of(&animal), Code::Incompatible, "tomorrow").await;
}

#[tokio::test]
async fn zoo_http_without_a_grant() {
    is_not_loaded(&Cage::of(&import("http")), Code::NotGranted, "policy/http").await;
}

#[tokio::test]
async fn zoo_keys_without_a_grant() {
    is_not_loaded(&Cage::of(&import("keys")), Code::NotGranted, "policy/keys").await;
}

#[tokio::test]
async fn zoo_state_without_a_grant() {
    is_not_loaded(
        &Cage::of(&import("state")),
        Code::NotGranted,
        "policy/state",
    )
    .await;
}

/// A component that imports one function of an interface.
fn import(interface: &str) -> Animal {
    let (function, params) = match interface {
        "http" => ("send", 11),
        "keys" => ("public-key", 3),
        _ => ("delete", 3),
    };
    let params = "i32 ".repeat(params);
    Animal::default().with(format!(
        r#"(import "countersign:policy/{interface}@0.1.0" "{function}" (func (param {params})))"#
    ))
}

#[tokio::test]
async fn zoo_grants_of_nothing() {
    let nothing: [fn(&mut Grants); 3] =
        [|g| g.cpu_ms = 0, |g| g.memory_bytes = 0, |g| g.wall_ms = 0];
    for change in nothing {
        is_not_loaded(
            &Cage::of(&Animal::default()).granted(change),
            Code::Grants,
            "must not be 0",
        )
        .await;
    }
}

#[tokio::test]
async fn zoo_grants_beyond_the_host() {
    let cage = Cage::of(&Animal::default()).granted(|grants| grants.memory_bytes = usize::MAX);
    is_not_loaded(&cage, Code::Grants, "exceeds the host").await;
}

#[tokio::test]
async fn zoo_too_many_core_instances() {
    let instances = "(core instance (instantiate 0))".repeat(60);
    let text = format!("(component (core module){instances})");
    is_not_loaded(
        &Cage::holding(&wat::parse_str(text).unwrap()),
        Code::NotAComponent,
        "core module instances",
    )
    .await;
}

#[tokio::test]
async fn zoo_nested_components_without_end() {
    let header = b"\0asm\x0d\0\x01\0";
    let within = |inner: Vec<u8>| {
        // Three bytes of LEB128.
        let [low, mid, high] = [0, 7, 14].map(|shift| (inner.len() >> shift & 0x7f) as u8);
        [&header[..], &[4, low | 0x80, mid | 0x80, high], &inner].concat()
    };
    let bytes = (0..2_000).fold(header.to_vec(), |inner, _| within(inner));
    is_not_loaded(
        &Cage::holding(&bytes),
        Code::Incompatible,
        "does not export",
    )
    .await;
}
