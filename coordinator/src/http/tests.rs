//! The document says what the API does.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CODES, openapi_document};

fn document() -> Value {
    serde_json::from_str(&openapi_document()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((format!("{method} {path}"), operation.clone()));
        }
    }
    found
}

#[test]
fn every_operation_has_a_name_a_title_a_description_and_its_errors() {
    for (name, operation) in operations(&document()) {
        for field in ["operationId", "summary", "description"] {
            let text = operation[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {field}");
        }
        for status in ["400", "401", "403", "429", "503"] {
            assert!(
                operation["responses"][status].is_object(),
                "{name}: {status}"
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.push(target.clone());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{found:?}");
    for target in found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn every_field_is_described() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let described = schema["description"].is_string() || schema["allOf"].is_array();
        assert!(described, "{name}");
    }
}

/// The words in quotation marks that look like codes.
fn codes(source: &str) -> BTreeSet<&str> {
    let is_code = |word: &&str| {
        let plain = word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let single = ["unauthorised", "scope", "store", "busy", "timeout"].contains(word);
        plain && (single || word.contains('-') && !word.starts_with('-'))
    };
    source
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(is_code)
        .collect()
}

#[test]
fn every_code_is_explained_and_every_explained_code_is_used() {
    let sources = [
        include_str!("admission.rs"),
        include_str!("bodies.rs"),
        include_str!("body.rs"),
        include_str!("error.rs"),
        include_str!("mod.rs"),
        include_str!("query.rs"),
        include_str!("streams.rs"),
        include_str!("tasks.rs"),
        include_str!("wallets.rs"),
        include_str!("webhooks.rs"),
        include_str!("../registry/admit.rs"),
        include_str!("../registry/intake.rs"),
        include_str!("../registry/preflight.rs"),
        include_str!("../registry/votes.rs"),
    ];
    let mut used: BTreeSet<&str> = sources.into_iter().flat_map(codes).collect();
    // Other words in these files, and those that a node says, too.
    for word in [
        "last-event-id",
        "kebab-case",
        "key-sign",
        "extra-info",
        "no-buffer",
        "tasks-",
        "deliveries-",
        "audit-",
    ] {
        used.remove(word);
    }
    let explained: BTreeSet<&str> = CODES.iter().map(|(code, ..)| *code).collect();
    assert_eq!(used, explained);
    assert!(CODES.is_sorted(), "in order");
}
