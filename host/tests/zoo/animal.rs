//! Components from core modules in text form, so that they can do what no compiler would write.
//!
//! The layouts are those of the canonical ABI for `wit/policy.wit`: `info` and both results are
//! returned by address.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../wit/policy.wit");

/// Address of the result of `check`: 16 bytes, all zero, which is "sound".
pub const CHECKED: u32 = 128;
/// Address of the result of `evaluate`: 24 bytes, all zero, which is "approve".
pub const VERDICT: u32 = 160;
/// Address of the room for texts.
pub const ROOM: u32 = 4096;
/// An allocator that never frees and asks for more pages when it has to.
const BUMP: &str = r#"
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1))))))
    (local.get $at)"#;

/// A component in parts. Each part is WebAssembly text; the default approves.
pub struct Animal {
    /// The contract it claims to implement.
    pub wit: String,
    /// The world of that contract.
    pub world: &'static str,
    /// Imports, globals, tables, further functions.
    pub fields: String,
    /// The declaration of its memory.
    pub memory: String,
    /// Body of `describe`, which leaves the address of an `info`.
    pub describe: String,
    /// Body of `check`, which leaves the address of a result.
    pub check: String,
    /// Body of `evaluate`, which leaves the address of a result; `local 0` is the address of the
    /// task.
    pub evaluate: String,
    /// Body of what the host calls when it has read the answer.
    pub farewell: String,
    /// Body of the allocator: old address, old size, alignment, new size.
    pub realloc: String,
}

impl Default for Animal {
    fn default() -> Self {
        Self {
            wit: WIT.into(),
            world: "risk-plugin",
            fields: String::new(),
            memory: r#"(memory (export "memory") 2)"#.into(),
            describe: "(i32.const 64)".into(),
            check: format!("(i32.const {CHECKED})"),
            evaluate: format!("(i32.const {VERDICT})"),
            farewell: String::new(),
            realloc: BUMP.into(),
        }
    }
}

impl Animal {
    /// One that behaves until it is asked.
    pub fn evaluating(body: impl Into<String>) -> Self {
        Self {
            evaluate: body.into(),
            ..Self::default()
        }
    }

    /// One that answers with these bytes at [`VERDICT`].
    pub fn answering(words: &[(u32, u32)]) -> Self {
        let stores = words.iter().map(|(offset, word)| {
            format!(
                "(i32.store (i32.const {}) (i32.const {}))",
                VERDICT + offset,
                *word as i32
            )
        });
        Self::evaluating(format!(
            "{}(i32.const {VERDICT})",
            stores.collect::<String>()
        ))
    }

    /// One that rejects with texts that lie somewhere: address and length of code and reason.
    pub fn rejecting(code: (u32, u32), reason: (u32, u32)) -> Self {
        Self::answering(&[
            (4, 1),
            (8, code.0),
            (12, code.1),
            (16, reason.0),
            (20, reason.1),
        ])
    }

    /// The same with a text in its memory at [`ROOM`].
    pub fn with_text(self, bytes: &[u8]) -> Self {
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        self.with(format!(r#"(data (i32.const {ROOM}) "{escaped}")"#))
    }

    /// The same with further fields.
    pub fn with(mut self, fields: impl AsRef<str>) -> Self {
        self.fields += fields.as_ref();
        self
    }

    /// The core module, as text. Imports come first, as the format demands.
    fn text(&self) -> String {
        let Self {
            fields,
            memory,
            describe,
            check,
            evaluate,
            farewell,
            realloc,
            ..
        } = self;
        let version = self
            .wit
            .split("policy@")
            .nth(1)
            .and_then(|rest| rest.split(';').next())
            .unwrap_or_default();
        let plugin = format!("countersign:policy/plugin@{version}");
        format!(
            r#"(module
            {fields}
            {memory}
            (global $top (mut i32) (i32.const 65536))
            (data (i32.const 16) "zoo") (data (i32.const 32) "1.0.0") (data (i32.const 48) "A specimen.")
            (data (i32.const 64) "\10\00\00\00\03\00\00\00\20\00\00\00\05\00\00\00\30\00\00\00\0b\00\00\00")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "{plugin}#describe") (result i32) {describe})
            (func (export "{plugin}#check") (result i32) {check})
            (func (export "{plugin}#evaluate") (param i32) (result i32) {evaluate})
            (func (export "cabi_post_{plugin}#evaluate") (param i32) {farewell}))"#
        )
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let mut module =
            wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{error}\n{}", self.text()));
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", &self.wit).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default()
            .module(&module)
            .unwrap()
            .encode()
            .unwrap()
    }

    /// The core module without the component around it.
    pub fn module(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap()
    }
}

/// The contract with one change.
pub fn other_wit(from: &str, to: &str) -> String {
    assert!(WIT.contains(from), "the contract has no `{from}`");
    WIT.replace(from, to)
}
