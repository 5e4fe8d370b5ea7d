//! Valid and invalid files, and the messages for the latter.

use countersign_sdk::payload;

use super::*;

#[test]
fn the_documented_file_is_sound() {
    let document: serde_json::Value =
        serde_norway::from_str(include_str!("../../../../docs/rules.yaml")).unwrap();
    let config = json::config::<Config>(&document.to_string()).unwrap();
    Rules::check(&config, &MockHost::default()).unwrap();
}

/// The rules that a package offers to begin with.
#[test]
fn the_first_rules_of_a_node_let_most_of_its_roster_make_wallets_and_pay_and_nothing_else() {
    let document: serde_json::Value =
        serde_norway::from_str(include_str!("../../../../docs/rules-start.yaml")).unwrap();
    let document = document.to_string();
    let config = json::config::<Config>(&document).unwrap();
    Rules::check(&config, &MockHost::default()).unwrap();
    let chain = "eip155:1";
    let paid = transfer(chain, "0x52908400098527886E0F7030069857D2E4169EE7", "1");
    let created = transaction(chain).creates().task();
    for (task, expected) in [
        (testing::keygen(2, &["a", "b", "c"]), "approve"),
        (testing::keygen(1, &["a", "b"]), "keygen-not-allowed"),
        (testing::keygen(1, &["a", "b", "c"]), "keygen-not-allowed"),
        (reshare(2, &["a", "b", "c"]), "keyreshare-not-allowed"),
        (paid, "approve"),
        (created, "keysign-contract-creation"),
        (testing::signing(Intent::Opaque), "keysign-blind"),
    ] {
        assert_eq!(judge(&document, &task), expected, "{task:?}");
    }
}

/// Keys that a part of the documented file has, at any depth.
fn keys(value: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
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
    let document: serde_json::Value =
        serde_norway::from_str(include_str!("../../../../docs/rules.yaml")).unwrap();
    let mut documented = std::collections::BTreeSet::new();
    keys(&document, &mut documented);
    let policy = |rules: &str| format!("{{policies: [{{name: p, {rules}}}]}}");
    for rules in [
        "{x: 0}".to_string(),
        "{assets: {a: {x: 0}}}".into(),
        policy("x: 0"),
        policy("when: {x: 0}"),
        policy("hours: {x: 0}"),
        policy("hours: {quiet: [{x: 0}]}"),
        policy("transactions: {x: 0}"),
        policy("transactions: {destinations: {x: 0}}"),
        policy("transactions: {calls: {x: 0}}"),
        policy("transactions: {calls: {deny: [{x: 0}]}}"),
        policy("transactions: {amounts: [{x: 0}]}"),
        policy("grants: {x: 0}"),
        policy("limits: [{x: 0}]"),
        policy("messages: {x: 0}"),
        policy("typed_data: {x: 0}"),
    ] {
        let error = mistake(&rules);
        assert!(error.contains("unknown field `x`"), "{rules}: {error}");
        let known = error.split('`').skip(3).step_by(2);
        for key in known {
            assert!(documented.contains(key), "{key} is not in docs/rules.yaml");
        }
    }
}

/// The schema that editors use: of each part, the keys of its definition there are those
/// that the parser knows.
#[test]
fn the_schema_has_the_keys_of_every_part_and_the_documented_file_fits() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/rules.schema.json")).unwrap();
    let sign = |rules: &str| format!("{{enable: true, key_sign: {rules}}}");
    let policy = |rules: &str| sign(&format!("{{policies: [{{name: p, {rules}}}]}}"));
    let mut parts = std::collections::BTreeSet::new();
    for (document, part) in [
        ("{x: 0}".to_string(), None),
        ("{key_gen: {x: 0}}".into(), Some("key_gen")),
        (
            "{key_gen: {allow_list: [{x: 0}]}}".into(),
            Some("key_gen_entry"),
        ),
        ("{key_reshare: {x: 0}}".into(), Some("key_reshare")),
        (
            "{key_reshare: {allow_list: [{x: 0}]}}".into(),
            Some("key_reshare_entry"),
        ),
        ("{key_share_sign: {x: 0}}".into(), Some("key_share_sign")),
        (sign("{x: 0}"), Some("key_sign")),
        (sign("{assets: {a: {x: 0}}}"), Some("asset")),
        (policy("x: 0"), Some("policy")),
        (policy("when: {x: 0}"), Some("when")),
        (policy("hours: {x: 0}"), Some("hours")),
        (policy("hours: {quiet: [{x: 0}]}"), Some("span")),
        (policy("transactions: {x: 0}"), Some("transactions")),
        (
            policy("transactions: {destinations: {x: 0}}"),
            Some("destinations"),
        ),
        (policy("transactions: {calls: {x: 0}}"), Some("calls")),
        (
            policy("transactions: {calls: {deny: [{x: 0}]}}"),
            Some("call"),
        ),
        (policy("transactions: {amounts: [{x: 0}]}"), Some("ceiling")),
        (policy("grants: {x: 0}"), Some("grants")),
        (policy("limits: [{x: 0}]"), Some("limit")),
        (policy("messages: {x: 0}"), Some("messages")),
        (policy("typed_data: {x: 0}"), Some("typed_data")),
    ] {
        let definition = part.map_or(&schema, |part| &schema["$defs"][part]);
        assert_eq!(definition["additionalProperties"], false, "{part:?}");
        let properties = definition["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let value: serde_json::Value = serde_norway::from_str(&document).unwrap();
        let Err(Failure::Misconfigured(error)) = json::config::<Config>(&value.to_string()) else {
            panic!("{document}")
        };
        let known: std::collections::BTreeSet<String> = error
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(known, properties, "{part:?}: {error}");
        parts.extend(part.map(str::to_owned));
    }
    // The parser does not tell this by itself: either a text or an address with its label.
    parts.insert("address".into());
    let definitions = schema["$defs"].as_object().unwrap();
    let objects = definitions
        .iter()
        .filter(|(_, definition)| definition["type"] == "object");
    assert_eq!(
        objects
            .map(|(name, _)| name.clone())
            .collect::<std::collections::BTreeSet<_>>(),
        parts
    );
    let documented: serde_json::Value =
        serde_norway::from_str(include_str!("../../../../docs/rules.yaml")).unwrap();
    fits(&schema, &schema, &documented).unwrap();
    let mut other = documented;
    other["key_sign"]["policies"][0]["transactions"]["destinations"]["allow"][0]["adress"] =
        "0x".into();
    assert!(fits(&schema, &schema, &other).is_err());
}

/// Editors mark a kind that their schema lacks, although the node reads it.
#[test]
fn the_schema_and_the_documented_file_list_every_kind_of_payload() {
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let kinds = sorted(payload::ALL.map(str::to_owned).into());
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/rules.schema.json")).unwrap();
    let listed = &schema["$defs"]["when"]["properties"]["payloads"]["items"]["enum"];
    let listed = serde_json::from_value(listed.clone()).unwrap();
    assert_eq!(sorted(listed), kinds);
    let documented = include_str!("../../../../docs/rules.yaml")
        .lines()
        .find(|line| line.trim_start().starts_with("payloads:"))
        .and_then(|line| line.split_once("# "));
    let (_, documented) = documented.unwrap();
    assert_eq!(
        sorted(documented.split(", ").map(str::to_owned).collect()),
        kinds
    );
}

/// True if a document has the keys, lists and words of the schema. Enough of JSON Schema for ours.
fn fits(
    all: &serde_json::Value,
    schema: &serde_json::Value,
    value: &serde_json::Value,
) -> Result<(), String> {
    use serde_json::Value;
    if let Some(name) = schema["$ref"].as_str() {
        return fits(
            all,
            &all["$defs"][name.trim_start_matches("#/$defs/")],
            value,
        );
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let one = choices
            .iter()
            .any(|choice| fits(all, choice, value).is_ok());
        return if one { Ok(()) } else { Err(format!("{value}")) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) {
            Ok(())
        } else {
            Err(format!("{value}"))
        };
    }
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(members)) => members.iter().try_for_each(|(name, value)| {
            let more = Some(&schema["additionalProperties"]).filter(|more| more.is_object());
            let member = schema["properties"].get(name).or(more);
            fits(
                all,
                member.ok_or_else(|| format!("unknown key {name}"))?,
                value,
            )
        }),
        (Some("array"), Value::Array(values)) => values
            .iter()
            .try_for_each(|value| fits(all, &schema["items"], value)),
        (Some("string"), Value::String(_))
        | (Some("integer"), Value::Number(_))
        | (Some("boolean"), Value::Bool(_)) => Ok(()),
        (None, value) if schema["const"] == *value => Ok(()),
        (_, value) => Err(format!("{value} is none of {schema}")),
    }
}

/// The message for the author of these rules.
fn mistake(rules: &str) -> String {
    match json::config::<Config>(&in_file(rules)) {
        Err(Failure::Misconfigured(text)) => text,
        other => panic!("{rules}: {other:?}"),
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_what_to_write() {
    let policy = |rules: &str| {
        format!(
            "{{assets: {{eth: {{id: 'eip155:1', decimals: 18}}}}, policies: [{{name: p, {rules}}}]}}"
        )
    };
    let transactions = |rules: &str| policy(&format!("transactions: {{{rules}}}"));
    for (rules, parts) in [
        ("{polices: []}".into(), ["unknown field `polices`", "`policies`"]),
        (
            "{deny: ['0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed']}".into(),
            ["checksum", "copy the address again"],
        ),
        ("{deny: ~}".into(), ["key_sign.deny", "null"]),
        ("{assets: {eth: {id: eth}}}".into(), ["assets.eth", "eip155:1"]),
        ("{assets: {eth: {id: 'eip155:1/slip44:60'}}}".into(), ["native asset", "eip155:1"]),
        ("{assets: {x: {id: 'eip155:1/0xab'}}}".into(), ["names no token", "erc20:0x"]),
        ("{assets: {x: {id: 'eip155:1/token:0xab'}}}".into(), ["`token` is not a token standard", "erc721"]),
        (
            "{assets: {x: {id: 'eip155:1/erc20:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359'}, y: {id: 'eip155:1/erc721:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359/7'}}}".into(),
            ["assets.y", "two standards"],
        ),
        ("{deny: [vitalik.eth]}".into(), ["`vitalik.eth` is a name", "look it up"]),
        (
            transactions("calls: {allow: [{contract: vitalik.eth}]}"),
            ["`vitalik.eth` is a name", "look it up"],
        ),
        (
            policy("transactions: {}, grants: {spenders: [{address: app.example.eth}]}"),
            ["is a name", "look it up"],
        ),
        ("{policies: ~}".into(), ["key_sign.policies", "null"]),
        ("{policies: [{name: a, messages: {}}, {name: a, messages: {}}]}".into(), ["two policies", "`a`"]),
        ("{policies: [{name: A b, messages: {}}]}".into(), ["policy `A b`", "lower-case"]),
        ("{policies: [{name: p}]}".into(), ["policy `p`", "lets nothing through"]),
        (policy("messages: ~"), ["messages", "null"]),
        (policy("hours: ~"), ["hours", "null"]),
        (policy("messages: {}, whan: {}"), ["policies[0]", "unknown field `whan`"]),
        (policy("messages: {}, blind: allow"), ["evade", "policy of its own"]),
        (policy("messages: {}, blind: maybe"), ["unknown variant `maybe`", "`allow`"]),
        (policy("messages: {}, when: {keys: []}"), ["when.keys is empty", "leave it out"]),
        (policy("messages: {}, when: {chains: [mainnet]}"), ["`mainnet`", "eip155:1"]),
        (policy("messages: {}, when: {payloads: [eip-191]}"), ["no kind `eip-191`", "eip191"]),
        (policy("messages: {}, when: {paths: [\"m/44'\"]}"), ["m/44'", "no hardened index"]),
        (policy("messages: {}, when: {paths: ['m/**/1']}"), ["m/**/1", "** at the end"]),
        (policy("messages: {patterns: ['a)|(b']}"), ["a)|(b", "not a regular expression"]),
        (policy("messages: {}, hours: {}"), ["hours", "`allow` or `quiet`"]),
        (policy("messages: {}, hours: {allow: []}"), ["hours.allow", "leave it out"]),
        (
            policy("messages: {}, hours: {quiet: [{from: '08:00', to: '08:00'}]}"),
            ["begins when it ends", "24:00"],
        ),
        (policy("messages: {}, hours: {quiet: [{from: '8:00', to: '09:00'}]}"), ["`8:00`", "08:30"]),
        (policy("messages: {}, hours: {quiet: [{from: '24:01', to: '09:00'}]}"), ["`24:01`", "08:30"]),
        (
            policy("messages: {}, hours: {quiet: [{days: [], from: '08:00', to: '09:00'}]}"),
            ["days", "every day"],
        ),
        (policy("messages: {}, hours: {zone: Europe/Warsaw, quiet: []}"), ["Europe/Warsaw", "+02:00"]),
        (policy("messages: {}, limits: [{per: day, asset: eth, max: 1}]"), ["limits", "`transactions`"]),
        (policy("messages: {}, limits: [{per: day}]"), ["limits[0]", "`tasks`"]),
        (policy("messages: {}, limits: [{per: day, tasks: 1, asset: eth, max: 1}]"), ["limits[0]", "either"]),
        (policy("messages: {}, limits: [{per: month, tasks: 1}]"), ["unknown variant `month`", "`week`"]),
        (transactions("amounts: [{asset: btc, max: 1}]"), ["transactions.amounts[0]", "no asset `btc`"]),
        (transactions("amounts: [{asset: eth, max: 1.5}]"), ["amounts[0]", "in quotes"]),
        (transactions("amounts: [{asset: eth, max: '-1'}]"), ["amounts[0]", "`-1` is not an amount"]),
        (
            transactions("amounts: [{asset: eth, max: '0.0000000000000000001'}]"),
            ["more than 18 digits", "leave"],
        ),
        (
            transactions("amounts: [{asset: eth, max: 1}, {asset: eth, max: 2}]"),
            ["amounts[1]", "listed twice"],
        ),
        (
            transactions("calls: {unknown: allow}, amounts: [{asset: eth, max: 1}]"),
            ["transactions.amounts cannot be kept", "calls.allow"],
        ),
        (
            transactions("calls: {create: allow}, destinations: {allow: []}"),
            ["transactions.destinations cannot be kept", "calls.allow"],
        ),
        (transactions("calls: {unknown: allow, allow: []}"), ["calls", "leave one out"]),
        (
            transactions("calls: {deny: [{contract: '0xab', methods: []}]}"),
            ["`methods` is empty", "leave it out"],
        ),
        (
            transactions("calls: {deny: [{contract: '0xab', methods: ['transfer']}]}"),
            ["`transfer` names no method", "transfer(address,uint256)"],
        ),
        (transactions("calls: {deny: [{contract: '0xab', methods: ['f(uint)']}]}"), ["`uint`", "`uint256`"]),
        (policy("transactions: {}, grants: {}"), ["grants", "missing field `spenders`"]),
        (
            policy("transactions: {}, grants: {spenders: [], unlimited: allow, amounts: []}"),
            ["pointless", "leave one"],
        ),
    ] {
        let error = mistake(&rules);
        for part in parts {
            assert!(error.contains(part), "{rules}: {error}");
        }
    }
    let token = "{assets: {t: {id: 'eip155:1/erc20:0xab'}}, policies: [{name: p, transactions: {fees: [{asset: t, max: 1}]}}]}";
    assert!(mistake(token).contains("native assets"));
    let limited =
        policy("transactions: {calls: {unknown: allow}}, limits: [{per: day, asset: eth, max: 1}]");
    assert!(mistake(&limited).contains("limits cannot be kept"));
}
