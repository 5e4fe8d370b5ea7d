//! Entries as operators write them, and what the host is to load for them.

use std::time::Duration;

use countersign_host::Scope;
use countersign_protocol::{KeyId, OperationKind, Scheme};

use super::*;
use crate::specimen::{entry, policy};

/// A folder, and a policy with one entry in it.
fn one() -> (tempfile::TempDir, Policy) {
    let dir = tempfile::tempdir().unwrap();
    let entry = entry("one", &dir.path().join("one.wasm"));
    let policy = policy(dir.path(), vec![entry]);
    (dir, policy)
}

fn refused(policy: &Policy) -> String {
    spec(policy, &policy.plugins[0]).unwrap_err().to_string()
}

fn accepted(policy: &Policy) -> PluginSpec {
    spec(policy, &policy.plugins[0]).unwrap()
}

/// With a configuration in a file of this content.
fn configured_by(content: &[u8]) -> (tempfile::TempDir, Policy) {
    let (dir, mut policy) = one();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, content).unwrap();
    policy.plugins[0].source = PluginConfig::File(file);
    (dir, policy)
}

#[test]
fn a_grant_of_a_key_that_nobody_configured_is_refused_with_the_place_to_add_it() {
    let (_dir, mut policy) = one();
    policy.plugins[0].grants.keys = vec!["approver".into()];
    let text = refused(&policy);
    assert!(
        text.contains("`specimen:one`") && text.contains("`approver`"),
        "{text}"
    );
    assert!(text.ends_with("add it there"), "{text}");
}

#[test]
fn a_key_may_be_used_for_what_it_is_and_nothing_else() {
    let (_dir, mut policy) = one();
    policy.public_keys = [("approver".to_owned(), "approver.pem".into())].into();
    policy.secrets = [("hook".to_owned(), "hook".into())].into();
    let names = ["callback", "event", "approver", "hook"];
    policy.plugins[0].grants.keys = names.map(String::from).to_vec();
    let usages = accepted(&policy).grants.keys.into_iter();
    let usages: Vec<_> = usages.map(|grant| (grant.name, grant.usage)).collect();
    let expected = [
        KeyUsage::SignJwt,
        KeyUsage::SignJwt,
        KeyUsage::Verify,
        KeyUsage::Mac,
    ];
    let expected = names.map(String::from).into_iter().zip(expected);
    assert_eq!(usages, expected.collect::<Vec<_>>());
}

#[test]
fn a_prefix_that_is_not_the_address_of_a_folder_is_refused() {
    let (_dir, mut policy) = one();
    for bad in [
        "",
        "approver.example",
        "ftp://approver.example/",
        "https://",
    ] {
        policy.plugins[0].grants.http = vec![bad.into()];
        assert!(
            refused(&policy).starts_with("plugin `specimen:one`: "),
            "{bad}"
        );
    }
    let good = "https://approver.example/v2/";
    policy.plugins[0].grants.http = vec![good.into()];
    assert_eq!(accepted(&policy).grants.http, [good.parse().unwrap()]);
}

#[test]
fn what_an_entry_is_not_granted_it_does_not_have() {
    let (_dir, policy) = one();
    let grants = accepted(&policy).grants;
    assert!(grants.keys.is_empty() && grants.http.is_empty());
    assert_eq!(grants.state_bytes, 0);
}

#[test]
fn limits_of_an_entry_reach_the_host_as_they_were_written() {
    let (_dir, mut policy) = one();
    let granted = &mut policy.plugins[0].grants;
    (granted.state_bytes, granted.cpu_ms) = (1, 2);
    (granted.wall_ms, granted.memory_bytes) = (Some(3), 4);
    let grants = accepted(&policy).grants;
    assert_eq!(
        (
            grants.state_bytes,
            grants.cpu_ms,
            grants.wall_ms,
            grants.memory_bytes
        ),
        (1, 2, 3, 4)
    );
}

#[test]
fn a_call_without_a_limit_of_its_own_has_the_policys_time() {
    let (_dir, mut policy) = one();
    policy.deadline = Duration::from_millis(7_500);
    assert_eq!(accepted(&policy).grants.wall_ms, 7_500);
}

#[test]
fn scope_shadow_and_probes_of_an_entry_are_its_role() {
    let (_dir, mut policy) = one();
    let key = KeyId::from_bytes([3; 16]).unwrap();
    let entry = &mut policy.plugins[0];
    entry.scope.operations = vec![OperationKind::KeySign];
    entry.scope.keys = vec![key];
    entry.scope.schemes = vec![Scheme::Taproot];
    entry.monitor_interval = Some(Duration::from_secs(30));
    let expected = Role {
        scope: Scope {
            operations: vec![OperationKind::KeySign],
            keys: vec![key.to_string()],
            schemes: vec!["taproot".into()],
        },
        shadow: None,
        monitor: Some(Duration::from_secs(30)),
    };
    assert_eq!(accepted(&policy).role, expected);
}

#[test]
fn a_shadow_is_never_taken_for_an_entry_that_decides() {
    let (_dir, mut policy) = one();
    for (written, expected) in [
        (config::Shadow::Chain, Shadow::Chain),
        (
            config::Shadow::Entry("rules".into()),
            Shadow::Entry("rules".into()),
        ),
    ] {
        policy.plugins[0].shadow = Some(written);
        assert_eq!(accepted(&policy).role.shadow, Some(expected));
    }
}

#[test]
fn a_configuration_file_says_the_same_in_yaml_and_in_json() {
    let (_yaml, yaml) = configured_by(b"limits: [{ amount: 7 }]\n");
    let (_json, json) = configured_by(b"{\"limits\": [{\"amount\": 7}]}");
    let expected = serde_json::json!({"limits": [{"amount": 7}]});
    assert_eq!(accepted(&yaml).config, expected);
    assert_eq!(accepted(&json).config, expected);
}

#[test]
fn a_configuration_file_with_a_mistake_is_refused_with_its_place() {
    for (content, words) in [
        (&b"a: 1\na: 2\n"[..], "line 2"),
        (b"a: [1\n", "line"),
        (b"a: \xff\n", "it is not UTF-8; write it as plain text"),
    ] {
        let (_dir, policy) = configured_by(content);
        let text = refused(&policy);
        assert!(
            text.contains("rules.yaml") && text.contains(words),
            "{text}"
        );
    }
}

#[test]
fn a_configuration_file_that_is_not_there_is_refused_with_its_path() {
    let (dir, policy) = configured_by(b"");
    std::fs::remove_file(dir.path().join("rules.yaml")).unwrap();
    let text = refused(&policy);
    assert!(
        text.contains("rules.yaml") && text.ends_with("correct the file or its path"),
        "{text}"
    );
}

#[test]
fn a_configuration_file_that_others_can_write_is_refused() {
    let (dir, mut policy) = configured_by(b"a: 1\n");
    policy.custody = countersign_host::Custody::Operator;
    let file = dir.path().join("rules.yaml");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&file, open).unwrap();
    let error = spec(&policy, &policy.plugins[0]).unwrap_err();
    assert!(matches!(error, SpecError::Custody { .. }), "{error}");
}

#[test]
fn a_value_of_a_configuration_file_is_found_again_by_file_and_line() {
    let (_dir, policy) = configured_by(b"# a comment\nlimits:\n  - amount: 7\n");
    let place = accepted(&policy).written.unwrap().place("limits[0].amount");
    assert!(
        place.contains("rules.yaml, ") && place.contains("line 3"),
        "{place}"
    );
}

#[test]
fn what_is_not_installed_is_refused_by_its_name() {
    let (_dir, mut policy) = one();
    policy.plugins[0].component = Component::Installed("rules".into());
    let text = refused(&policy);
    assert!(
        text.starts_with("plugin `specimen:one`: ") && text.contains("`rules`"),
        "{text}"
    );
}

#[test]
fn an_entry_with_a_mistake_keeps_its_place_and_its_role_and_spoils_no_other() {
    let (dir, mut policy) = one();
    let mut second = entry("two", &dir.path().join("two.wasm"));
    second.scope.operations = vec![OperationKind::KeyGen];
    second.grants.keys = vec!["nobody".into()];
    policy.plugins.insert(0, second);
    let entries = configured(&policy);
    let [
        EntrySpec::Unusable { name, role, reason },
        EntrySpec::Spec(good),
    ] = &entries[..]
    else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (name.as_str(), good.name.as_str()),
        ("specimen:two", "specimen:one")
    );
    assert_eq!(role.scope.operations, [OperationKind::KeyGen]);
    assert!(reason.contains("`nobody`"), "{reason}");
    assert!(read(&policy).is_err(), "a check accepts no mistake");
}

#[test]
fn shared_files_are_named_by_their_places_in_the_configuration() {
    let (_dir, mut policy) = one();
    policy.public_keys = [("b", "b.pem"), ("a", "a.pem")]
        .map(|(name, file)| (name.to_owned(), file.into()))
        .into();
    policy.secrets = [("hook".to_owned(), "hook".into())].into();
    policy.ca_file = Some("ca.pem".into());
    let names: Vec<_> = shared_files(&policy).map(|(name, _)| name).collect();
    let expected = [
        "policy.public_keys.a",
        "policy.public_keys.b",
        "policy.secrets.hook",
        "policy.ca_file",
    ];
    assert_eq!(names, expected);
}
