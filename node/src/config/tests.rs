//! The sections that are validated here, and the reading of the file itself.

use std::os::unix::fs::PermissionsExt;

use countersign_link::Identity;

use super::*;

/// The generator of P-256, and x = 7, to which no point of the curve belongs.
const PASSKEYS: [&str; 2] = [
    "csr1qd43050juykyy3lchnnw2caygre8wqmasyk7kvaq7jsnj3wcnrpfvyxdqhw",
    "csr1qgqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqwgl76j0",
];
const PAGES: &str =
    "passkeys: {rp_id: treasury.example, origins: ['https://console.treasury.example']}\n";

/// Parses a file that lies in the folder `/base`.
pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/base"))
}

pub(super) fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// Checks that `key` takes `from` to `to`, and names both for anything beyond.
pub(super) fn assert_bounds(key: &str, from: u64, to: u64, text: impl Fn(u64) -> String) {
    for value in [from, to] {
        assert!(parse(&text(value)).is_ok(), "{key}: {value}");
    }
    let below = from.checked_sub(1);
    for value in below.into_iter().chain([to + 1, u64::MAX]) {
        let expected = format!("{key} is {value}; choose {from} to {to}");
        assert_eq!(refusal(&text(value)), expected);
    }
}

fn limits(key: &str, value: u64) -> String {
    format!("limits: {{{key}: {value}}}\n")
}

fn public(seed: u8) -> [u8; 32] {
    Identity::from_seed(&[seed; 32]).unwrap().public().0
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(public(seed)).unwrap()
}

fn requester(seed: u8) -> RequesterId {
    RequesterId::from_bytes(public(seed)).unwrap()
}

fn coordinator() -> CoordinatorId {
    CoordinatorId::from_bytes(public(9)).unwrap()
}

fn key(seed: u8) -> KeyId {
    KeyId::from_bytes([seed; 16]).unwrap()
}

/// Writes a file of this mode into a new folder.
fn file(contents: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    std::fs::write(&file, contents).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    (dir, file)
}

#[test]
fn absent_deadlines_have_their_documented_values() {
    let config = parse("{}\n").unwrap();
    let session = [config.session.ready, config.session.storing];
    assert_eq!(session.map(|limit| limit.as_secs()), [5, 10]);
    let engines = config.engines;
    let engines = [engines.frost, engines.ecdsa, engines.keygen, engines.aux];
    assert_eq!(engines.map(|limit| limit.as_secs()), [5, 60, 10, 900]);
}

#[test]
fn absent_limits_on_numbers_have_their_documented_values() {
    let config = parse("{}\n").unwrap();
    assert_eq!(config.tasks, 256);
    assert_eq!(config.reshares.count, 6);
    assert_eq!(config.prime_sets, 1);
    assert_eq!(config.check_up, Some(Duration::from_secs(24 * 3600)));
}

#[test]
fn nobody_is_known_and_no_key_is_excepted_unless_the_file_says_so() {
    let config = parse("{}\n").unwrap();
    assert!(config.requesters.is_empty() && config.roster.is_empty());
    assert!(config.allow_blind.is_empty() && config.allow_binary.is_empty());
    assert!(config.recipients.is_empty() && !config.policy.allow_unguarded);
}

#[test]
fn every_deadline_of_a_session_lasts_a_second_to_a_day() {
    for key in [
        "ready_seconds",
        "frost_seconds",
        "ecdsa_seconds",
        "keygen_seconds",
        "aux_seconds",
        "storing_seconds",
    ] {
        assert_bounds(&format!("limits.{key}"), 1, 86_400, |value| {
            limits(key, value)
        });
    }
}

/// Two deadlines that were exchanged would only show in production.
#[test]
fn every_deadline_of_the_file_reaches_the_computation_that_it_names() {
    let config = parse(
        "limits: {ready_seconds: 11, frost_seconds: 12, ecdsa_seconds: 13, keygen_seconds: 14, aux_seconds: 15, storing_seconds: 16}\n",
    )
    .unwrap();
    let session = [config.session.ready, config.session.storing];
    assert_eq!(session.map(|limit| limit.as_secs()), [11, 16]);
    let engines = config.engines;
    let engines = [engines.frost, engines.ecdsa, engines.keygen, engines.aux];
    assert_eq!(engines.map(|limit| limit.as_secs()), [12, 13, 14, 15]);
}

#[test]
fn at_least_one_task_and_at_most_ten_thousand_run_at_a_time() {
    assert_bounds("limits.tasks", 1, 10_000, |value| limits("tasks", value));
}

#[test]
fn at_least_one_reshare_per_window_is_allowed() {
    assert_bounds("limits.task_hours", 1, 168, |value| {
        limits("task_hours", value)
    });
    assert_bounds("limits.reshares", 1, 10_000, |value| {
        limits("reshares", value)
    });
}

#[test]
fn a_node_may_keep_no_prime_set_and_at_most_a_hundred() {
    assert_bounds("limits.prime_sets", 0, 100, |value| {
        limits("prime_sets", value)
    });
}

#[test]
fn check_ups_are_at_most_a_leap_year_apart() {
    assert_bounds("check_up.hours", 0, 8_784, |value| {
        format!("check_up: {{hours: {value}}}\n")
    });
    let longest = parse("check_up: {hours: 8784}\n").unwrap().check_up;
    assert_eq!(longest, Some(Duration::from_secs(366 * 86_400)));
}

#[test]
fn records_are_kept_for_a_century_at_most_or_for_ever() {
    assert_bounds("journal.retention_days", 0, 36_600, |value| {
        format!("journal: {{retention_days: {value}}}\n")
    });
    let kept = |text: &str| parse(text).unwrap().retention;
    assert_eq!(kept("{}\n"), Some(Duration::from_secs(90 * 24 * 3600)));
    assert_eq!(kept("journal: {retention_days: 0}\n"), None);
}

#[test]
fn zero_hours_turn_check_ups_off() {
    assert_eq!(parse("check_up: {hours: 0}\n").unwrap().check_up, None);
}

#[test]
fn a_value_of_another_type_is_refused_at_its_line() {
    let told = refusal("db: {}\nlimits:\n  tasks: many\n");
    assert!(told.starts_with("line 3, column "), "{told}");
    assert!(told.ends_with("; correct it"), "{told}");
}

#[test]
fn a_number_below_zero_is_refused() {
    let told = refusal("limits: {tasks: -1}\n");
    assert!(
        told.contains("-1") && told.ends_with("; correct it"),
        "{told}"
    );
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    for section in [
        "{}",
        "db: {}",
        "coordinator: {}",
        "policy: {}",
        "policy: {compile: {}}",
        "keys: {}",
        "chains: {}",
        "limits: {}",
        "check_up: {}",
        "log: {}",
        "log: {std: {}}",
        "events: {}",
        "preflight: {}",
        "metrics: {}",
        "metrics: {influxdb: {}}",
    ] {
        let told = refusal(&format!("{}\n", section.replace("{}", "{zzz: 1}")));
        assert!(
            told.contains("there is no key `zzz` here"),
            "{section}: {told}"
        );
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_entry_of_a_list() {
    for list in [
        "requesters: []",
        "roster: []",
        "policy: {plugins: []}",
        "events: {receivers: []}",
    ] {
        let told = refusal(&format!("{}\n", list.replace("[]", "[{zzz: 1}]")));
        assert!(
            told.contains("there is no key `zzz` here"),
            "{list}: {told}"
        );
    }
    for part in ["scope", "grants"] {
        let entry = format!("policy: {{plugins: [{{name: a, {part}: {{zzz: 1}}}}]}}\n");
        let told = refusal(&entry);
        assert!(told.contains("there is no key `zzz` here"), "{told}");
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_shorthand() {
    for shorthand in [
        "callback: {}",
        "callback: {cb_server: [{}]}",
        "callback: {cb_server_v2: [{}]}",
        "event: {}",
        "event: {server: [{}]}",
    ] {
        let told = refusal(&format!("{}\n", shorthand.replace("{}", "{zzz: 1}")));
        assert!(
            told.contains("there is no key `zzz` here"),
            "{shorthand}: {told}"
        );
    }
}

#[test]
fn preflights_are_answered_unless_the_operator_says_otherwise_for_all_or_for_one() {
    let one = requester(1);
    let two = requester(2);
    let text = |section: &str, entry: &str| {
        format!("{section}\nrequesters: [{{name: a, id: {one}{entry}}}, {{name: b, id: {two}}}]\n")
    };
    let allowed = |section, entry| parse(&text(section, entry)).unwrap().preflights.allowed;
    assert_eq!(allowed("", ""), BTreeSet::from([one, two]));
    assert_eq!(allowed("", ", preflight: false"), BTreeSet::from([two]));
    assert_eq!(allowed("preflight: {allow: false}", ""), BTreeSet::new());
    let one_only = allowed("preflight: {allow: false}", ", preflight: true");
    assert_eq!(one_only, BTreeSet::from([one]));
}

#[test]
fn the_number_of_preflights_has_bounds() {
    assert_eq!(parse("{}\n").unwrap().preflights.per_minute, 120);
    for number in [0, 60_001] {
        let told = refusal(&format!("preflight: {{per_minute: {number}}}\n"));
        assert!(told.contains("preflight.per_minute"), "{told}");
    }
}

#[test]
fn a_log_that_is_not_documented_is_refused() {
    let told = refusal("log: {std: {level: trace}}\n");
    assert_eq!(
        told,
        "log.std.level is `trace`; choose error, warn, info or debug"
    );
}

#[test]
fn the_folder_of_the_secrets_file_is_the_nodes() {
    let dir = |text: &str| parse(text).unwrap().dir;
    assert_eq!(dir("{}\n"), Path::new("/base/db"));
    let beside = dir("db: {path: secrets.redb.age}\n");
    assert_eq!(beside, Path::new("/base/"));
    let elsewhere = dir("db: {path: /var/lib/node/secrets.redb.age}\n");
    assert_eq!(elsewhere, Path::new("/var/lib/node"));
}

#[test]
fn a_secrets_file_of_another_name_is_refused_with_the_right_one() {
    for path in ["db/secrets", "db/", "db/secrets.redb.age/x", "/", ".."] {
        let told = refusal(&format!("db: {{path: {path}}}\n"));
        assert!(
            told.starts_with("db.path is /") && told.contains("always called secrets.redb.age"),
            "{told}"
        );
        assert!(told.ends_with("change the last part of the path"), "{told}");
    }
}

#[test]
fn the_passphrase_file_is_sought_from_the_configuration_file() {
    let key_file = |text: &str| parse(text).unwrap().key_file;
    assert_eq!(key_file("{}\n"), None);
    let relative = key_file("db: {key_file: secret/key}\n");
    assert_eq!(relative, Some("/base/secret/key".into()));
    let absolute = key_file("db: {key_file: /run/key}\n");
    assert_eq!(absolute, Some("/run/key".into()));
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let one = node(1);
    let two = node(2);
    let roster = format!("roster: [{{name: bank, id: {one}}}, {{name: bank, id: {two}}}]\n");
    let told = refusal(&roster);
    assert_eq!(told, "`bank` appears twice under roster; remove one");
}

#[test]
fn a_requester_that_is_listed_twice_is_refused_by_name_and_by_id() {
    let list = |(first, one), (second, two)| {
        format!("requesters: [{{name: {first}, id: {one}}}, {{name: {second}, id: {two}}}]\n")
    };
    let named = refusal(&list(("a", requester(1)), ("a", requester(2))));
    assert_eq!(named, "`a` appears twice under requesters; remove one");
    let twice = refusal(&list(("a", requester(1)), ("b", requester(1))));
    let expected = format!(
        "`{}` appears twice under requesters; remove one",
        requester(1)
    );
    assert_eq!(twice, expected);
    let both = parse(&list(("a", requester(1)), ("b", requester(2)))).unwrap();
    assert_eq!(both.requesters[&requester(2)], "b");
}

#[test]
fn a_passkey_may_order_where_the_file_has_its_pages() {
    let [passkey, no_point] = PASSKEYS;
    let listed = |id: &str| format!("requesters: [{{name: ann, id: {id}}}]\n");
    let config = parse(&format!("{PAGES}{}", listed(passkey))).unwrap();
    let id = passkey.parse::<RequesterId>().unwrap();
    assert_eq!(config.requesters, [(id, "ann".to_owned())].into());
    assert!(config.passkeys().is_some());
    assert!(parse(PAGES).unwrap().passkeys().is_some());
    assert!(parse("").unwrap().passkeys().is_none());
    for (text, part) in [
        (listed(passkey), "; add passkeys: { rp_id: "),
        (
            format!("{PAGES}{}", listed(no_point)),
            "not a point of P-256; ask",
        ),
        (listed(no_point), "not a point of P-256; ask"),
        (
            PAGES.replace("console.treasury", "console.evil"),
            "passkeys: the page ",
        ),
        (
            PAGES.replace("treasury.example,", "Treasury,"),
            "passkeys: ",
        ),
        (
            "passkeys: {rp_id: treasury.example, origins: []}".into(),
            "passkeys: 0 origins",
        ),
        ("passkeys: {rp_id: treasury.example}".into(), "origins"),
    ] {
        let said = refusal(&text);
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn the_id_of_another_role_is_refused_with_the_right_prefix() {
    for (text, prefix) in [
        (
            format!("roster: [{{name: a, id: {}}}]\n", requester(1)),
            "csn1",
        ),
        (
            format!("requesters: [{{name: a, id: {}}}]\n", node(1)),
            "csr1",
        ),
        (
            format!("coordinator: {{address: 'h:1', id: {}}}\n", node(1)),
            "csc1",
        ),
    ] {
        let told = refusal(&text);
        assert!(
            told.contains(&format!("begins with `{prefix}`")) && told.ends_with("use the right id"),
            "{told}"
        );
    }
}

#[test]
fn a_coordinator_has_an_address_and_an_id() {
    let id = coordinator();
    for (text, missing) in [
        (format!("coordinator: {{id: {id}}}\n"), "address"),
        ("coordinator: {address: 'h:1'}\n".into(), "id"),
    ] {
        let told = refusal(&text);
        assert!(
            told.contains(&format!("missing field `{missing}`")),
            "{told}"
        );
    }
}

#[test]
fn a_node_that_may_be_unguarded_and_has_a_coordinator_is_complete() {
    let id = coordinator();
    let text =
        format!("coordinator: {{address: 'h:1', id: {id}}}\npolicy: {{allow_unguarded: true}}\n");
    let config = parse(&text).unwrap();
    let address = "h:1".into();
    assert_eq!(
        config.check_complete().unwrap(),
        &Coordinator { address, id }
    );
}

#[test]
fn exceptions_hold_for_the_keys_that_are_listed_and_for_one_purpose_each() {
    let text = format!(
        "keys: {{allow_blind: [{}], allow_binary: [{}]}}\n",
        key(1),
        key(2)
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.allow_blind, BTreeSet::from([key(1)]));
    assert_eq!(config.allow_binary, BTreeSet::from([key(2)]));
}

#[test]
fn a_mistyped_key_is_not_excepted_from_anything() {
    let mut mistyped = key(1).to_string();
    mistyped.pop();
    for list in ["allow_blind", "allow_binary"] {
        let told = refusal(&format!("keys: {{{list}: [{mistyped}]}}\n"));
        assert!(told.ends_with("copy the id again"), "{told}");
    }
}

#[test]
fn an_unknown_network_of_either_chain_is_refused_with_the_known_ones() {
    for (chain, known) in [("bitcoin", "signet"), ("solana", "devnet")] {
        let told = refusal(&format!("chains: {{{chain}: moonnet}}\n"));
        assert!(
            told.starts_with(&format!("chains: `moonnet` is not a network of {chain}")),
            "{told}"
        );
        assert!(
            told.contains("use one of") && told.contains(known),
            "{told}"
        );
    }
}

#[test]
fn an_absent_file_is_named_with_the_option_that_names_another() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    let told = Config::load(&file).unwrap_err().to_string();
    assert!(
        told.starts_with(&format!("cannot read {}", file.display())),
        "{told}"
    );
    assert!(told.ends_with("; name the file with --config"), "{told}");
}

#[test]
fn a_folder_is_not_read_as_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let error = Config::load(dir.path()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    for mode in [0o620, 0o602] {
        let (_dir, file) = file(b"{}\n", mode);
        let error = Config::load(&file).unwrap_err();
        assert!(matches!(error, ConfigError::Custody(_)), "{error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
}

#[test]
fn a_file_of_the_maximum_size_is_read_and_no_larger_one() {
    let mut text = b"{}\n#".to_vec();
    text.resize(usize::try_from(LARGEST).unwrap(), b'\n');
    let (_dir, largest) = file(&text, 0o600);
    Config::load(&largest).unwrap();
    text.push(b'\n');
    let (_dir, larger) = file(&text, 0o600);
    let error = Config::load(&larger).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_in_another_encoding_is_refused_by_name() {
    let (_dir, file) = file(b"env: caf\xe9\n", 0o600);
    let told = Config::load(&file).unwrap_err().to_string();
    let expected = format!(
        "{}: the file is not UTF-8; write it as plain text",
        file.display()
    );
    assert_eq!(told, expected);
}

#[test]
fn an_error_in_a_file_names_the_file() {
    let (_dir, file) = file(b"limits: {tasks: 0}\n", 0o600);
    let told = Config::load(&file).unwrap_err().to_string();
    let expected = format!("{}: limits.tasks is 0; choose 1 to 10000", file.display());
    assert_eq!(told, expected);
}

#[test]
fn a_file_is_kept_with_its_path_and_its_folder_is_the_base_of_paths() {
    let text = "db: {key_file: key}\n";
    let (dir, file) = file(text.as_bytes(), 0o600);
    let config = Config::load(&file).unwrap();
    assert_eq!(config.key_file, Some(dir.path().join("key")));
    let text = text.into();
    assert_eq!(config.source, Source { file, text });
}

#[test]
fn the_digest_is_that_of_the_files_bytes() {
    let digest = |text: &str| hex::encode(parse(text).unwrap().digest());
    assert_eq!(
        digest("{}\n"),
        "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
    );
    assert_ne!(digest("{}\n"), digest("{}\n\n"), "not of its meaning");
}

#[test]
fn a_file_that_names_the_password_file_may_be_read_by_others() {
    let influx =
        "{server_addr: 'http://localhost:8086', database: d, username: u, password_file: p}";
    let text = format!("metrics: {{influxdb: {influx}}}\n");
    let (_dir, file) = file(text.as_bytes(), 0o644);
    Config::load(&file).unwrap();
}

#[test]
fn a_password_that_any_other_user_may_read_is_refused() {
    let influx = "{server_addr: 'http://localhost:8086', database: d, username: u, password: p}";
    let text = format!("metrics: {{influxdb: {influx}}}\n");
    for mode in [0o604, 0o640, 0o610] {
        let (_dir, file) = file(text.as_bytes(), mode);
        let error = Config::load(&file).unwrap_err();
        assert!(
            error.to_string().ends_with("`") && error.to_string().contains("chmod 600"),
            "{mode:o}: {error}"
        );
    }
}
