//! Valid and invalid files, and the messages for the latter.

use std::collections::BTreeSet;

use super::*;

/// The example of the page, which others follow when they make votes.
#[test]
fn the_documented_vote_is_genuine_and_its_bounds_are_ours() {
    let page = include_str!("../../../../docs/quorum.md");
    let example = page.split("```json\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let vote = Vote::from_json(example.as_bytes()).unwrap();
    countersign_vote::check(&vote, &Hash([0xab; 32]), None).unwrap();
    let bounds = [
        format!("at most {} bytes", Vote::MAX_BYTES),
        format!("more than {} seconds ahead", Vote::MAX_SKEW_MS / 1000),
        format!("At most {MAX_VOTES} votes are looked at"),
    ];
    for bound in bounds {
        assert!(page.replace('\n', " ").contains(&bound), "{bound}");
    }
}

/// The message for the author of a file.
fn mistake(document: &str) -> String {
    match json::config::<Config>(document) {
        Err(Failure::Misconfigured(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// The message for the author of this rule.
fn mistake_in_rule(rule: &str) -> String {
    mistake(&needs(rule))
}

/// A file with one person and these sections.
fn file(sections: &str) -> String {
    to_json(&format!(
        "{{rules: [{{name: r, require: {{group: g, votes: 1}}}}], {sections}}}"
    ))
}

fn key(seed: u8) -> String {
    Key::new(seed).id().to_string()
}

fn documented() -> serde_json::Value {
    serde_norway::from_str(include_str!("../../../../docs/quorum.yaml")).unwrap()
}

#[test]
fn the_documented_file_is_sound() {
    let config = json::config::<Config>(&documented().to_string()).unwrap();
    Quorum::check(&config, &MockHost::default()).unwrap();
    assert_eq!(config.rules.len(), 5);
}

/// Keys that a part of the documented file has, at any depth.
fn keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
            into.insert(name.clone());
            keys(value, into);
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

/// The error for an unknown key lists the known ones: each must be in the documented file.
#[test]
fn the_documented_file_has_every_key() {
    let mut documented_keys = BTreeSet::new();
    keys(&documented(), &mut documented_keys);
    let rule = |rule: &str| needs(&format!("require: {{group: finance, votes: 1}}, {rule}"));
    let ours = |section: &str| {
        let known = key(1);
        file(&format!(
            "approvers: {{a: {{keys: ['{known}']}}}}, groups: {{g: [a]}}, {section}"
        ))
    };
    for document in [
        ours("x: 0"),
        ours("passkeys: {x: 0}"),
        ours("assets: {a: {x: 0}}"),
        file("groups: {g: [a]}, approvers: {a: {x: 0}}"),
        rule("x: 0"),
        rule("when: {x: 0}"),
        rule("when: {hours: {x: 0}}"),
        rule("when: {hours: {within: [{x: 0}]}}"),
        rule("when: {amounts: [{x: 0}]}"),
        needs("require: {x: 0}"),
    ] {
        let error = mistake(&document);
        assert!(error.contains("unknown field `x`"), "{document}: {error}");
        let known = error.split('`').skip(3).step_by(2);
        for key in known {
            assert!(
                documented_keys.contains(key),
                "{key} is not in docs/quorum.yaml"
            );
        }
    }
}

#[test]
fn mistakes_about_people_are_told_with_their_place_and_what_to_write() {
    let one = key(1);
    let two = key(2);
    let passkey = Passkey::new(3).id().to_string();
    for (sections, parts) in [
        (
            "approvers: {}, groups: {}".into(),
            ["approvers lists 0 people", "list 1 to 256"],
        ),
        (
            "approvers: {a: {keys: []}}, groups: {g: [a]}".into(),
            ["approvers.a: it has 0 keys", "remove the person"],
        ),
        (
            "approvers: {a: {keys: [csv1oops]}}, groups: {g: [a]}".into(),
            ["approvers.a.keys[0]", "is not an approver id"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{one}', '{one}']}}}}, groups: {{g: [a]}}"),
            ["approvers.a: the key", "listed twice, for a too"],
        ),
        (
            format!(
                "approvers: {{a: {{keys: ['{one}']}}, b: {{keys: ['{one}']}}}}, groups: {{g: [a]}}"
            ),
            ["approvers.b: the key", "listed twice, for a too"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{passkey}']}}}}, groups: {{g: [a]}}"),
            ["approvers.a", "add the section `passkeys`"],
        ),
        (
            format!("approvers: {{'{one}': {{keys: ['{two}']}}}}, groups: {{g: []}}"),
            ["is no id", "write the person's name"],
        ),
        (
            format!(
                "approvers: {{a: {{keys: ['{one}'], requesters: [csr1oops]}}}}, groups: {{g: [a]}}"
            ),
            ["approvers.a: the requester id csr1oops", "copy it again"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{one}']}}}}, groups: {{g: [b]}}"),
            ["groups.g: b is not listed", "correct the name"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{one}']}}}}, groups: {{g: []}}"),
            ["groups.g: it is empty", "remove the group"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{one}']}}}}, groups: {{g: [a, a]}}"),
            ["groups.g: a is listed twice", "once"],
        ),
        (
            format!("approvers: {{a: {{keys: ['{one}']}}}}, groups: {{a: [a]}}"),
            [
                "groups.a: it is called like a person",
                "call it differently",
            ],
        ),
        (
            format!(
                "passkeys: {{rp_id: a.example, origins: []}}, approvers: {{a: {{keys: ['{one}']}}}}, groups: {{g: [a]}}"
            ),
            ["passkeys: 0 origins", "give 1 to 16"],
        ),
        (
            format!(
                "passkeys: {{rp_id: a.example, origins: ['http://a.example']}}, approvers: {{a: {{keys: ['{one}']}}}}, groups: {{g: [a]}}"
            ),
            ["passkeys: `http://a.example`", "write e.g. https://"],
        ),
    ] {
        let error = mistake(&file(&sections));
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{sections}: {error}"
        );
    }
}

#[test]
fn mistakes_in_rules_are_told_with_their_place_and_what_to_write() {
    let require = "require: {group: finance, votes: 1}";
    for (rule, parts) in [
        ("when: {}".into(), ["rule `all`", "`without_votes: allow`"]),
        (
            format!("{require}, without_votes: allow"),
            ["rule `all`", "write either `require`"],
        ),
        (
            "without_votes: allow, veto: [bob]".into(),
            ["nobody can reject", "leave `veto`"],
        ),
        (
            "require: {group: finance}".into(),
            ["rule `all`: require: ", "{group: finance, votes: 2}"],
        ),
        (
            "require: {group: finance, votes: 1, all: []}".into(),
            ["require: ", "write one of them"],
        ),
        (
            "require: {group: board, votes: 1}".into(),
            ["there is no group `board`", "finance, security"],
        ),
        (
            "require: {group: finance, votes: 0}".into(),
            ["0 votes of finance", "demand 1 to 3"],
        ),
        (
            "require: {group: finance, votes: 4}".into(),
            ["4 votes of finance", "demand 1 to 3"],
        ),
        (
            "require: {all: [{group: finance, votes: 1}]}".into(),
            ["`all` has fewer than two entries", "add another"],
        ),
        (
            "require: {all: [{group: finance, votes: 3}, {group: security, votes: 3}]}".into(),
            [
                "3 of finance and 3 of security cannot be had",
                "demand fewer",
            ],
        ),
        (format!("{require}, veto: [frank]"), ["veto: ", "`frank`"]),
        (
            format!("{require}, rejections: 0"),
            ["rejections: 0", "1 or more"],
        ),
        (format!("{require}, max_age: 8d"), ["`8d`", "7 days"]),
        (format!("{require}, max_age: 1"), ["max_age", "string"]),
        (format!("{require}, max_age: '+1h'"), ["`+1h`", "24h"]),
        (format!("{require}, max_age: 0h"), ["`0h`", "24h"]),
        (format!("{require}, max_age: é"), ["`é`", "24h"]),
        (
            format!("{require}, initiator: maybe"),
            ["initiator", "`refuse`"],
        ),
        (
            format!("{require}, when: {{operations: [sign]}}"),
            ["when.operations: there is no `sign`", "keysign"],
        ),
        (
            format!("{require}, when: {{payloads: [evm]}}"),
            ["when.payloads: there is no `evm`", "evm-transaction"],
        ),
        (
            format!("{require}, when: {{chains: [ethereum]}}"),
            ["when.chains: `ethereum`", "eip155:1"],
        ),
        (
            format!("{require}, when: {{amounts: [{{asset: btc, max: 1}}]}}"),
            ["when.amounts[0]: there is no asset `btc`", "eth, usdc"],
        ),
        (
            format!("{require}, when: {{destinations: []}}"),
            ["when.destinations is empty", "leave it out"],
        ),
        (
            format!("{require}, when: {{hours: {{within: []}}}}"),
            ["when.hours.within is empty", "leave it out"],
        ),
        (
            format!("{require}, when: {{hours: {{within: [{{from: '08:00', to: '08:00'}}]}}}}"),
            ["when.hours: a span begins", "24:00"],
        ),
        (
            format!("{require}, when: {{keys: }}"),
            ["when.keys", "sequence"],
        ),
    ] {
        let error = mistake_in_rule(&rule);
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{rule}: {error}"
        );
    }
    for (rules, parts) in [
        ("[]".into(), ["0 rules are given", "write 1 to 64"]),
        (
            format!("[{{name: a, {require}}}, {{name: a, {require}}}]"),
            ["two rules are called `a`", "of its own"],
        ),
        (
            format!("[{{name: 'A b', {require}}}]"),
            ["rule `A b`", "rename it"],
        ),
    ] {
        let error = mistake(&with_rules(&rules));
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{rules}: {error}"
        );
    }
}

#[test]
fn a_requirement_has_bounds_for_its_depth_and_its_ways() {
    let leaf = "{group: finance, votes: 1}";
    let pair = |inner: &str, word: &str| format!("{{{word}: [{inner}, {leaf}]}}");
    let deep = (0..4).fold(leaf.to_owned(), |inner, _| pair(&inner, "any"));
    let error = mistake_in_rule(&format!("require: {deep}"));
    assert!(
        error.contains("nested more than 4 deep; simplify"),
        "{error}"
    );
    let eight = [leaf; 8].join(", ");
    let wide = format!("{{any: [{eight}]}}");
    let many = format!("require: {{all: [{wide}, {wide}, {wide}]}}");
    let error = mistake_in_rule(&many);
    assert!(error.contains("more than 64 ways; simplify"), "{error}");
    json::config::<Config>(&needs(&format!("require: {{all: [{wide}, {wide}]}}"))).unwrap();
}

#[test]
fn people_groups_and_assets_may_be_left_unused() {
    json::config::<Config>(&needs("without_votes: allow")).unwrap();
}
