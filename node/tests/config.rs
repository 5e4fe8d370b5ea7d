//! The configuration file as operators write it.

use std::path::Path;
use std::time::Duration;

use countersign_node::config::{
    Component, Config, ConfigError, InfluxInto, PluginConfig, PluginEntry, Secret, Shadow,
};
use countersign_protocol::{CoordinatorId, OperationKind};

const COORDINATOR: &str = "coordinator: {address: 'localhost:7443', id: CSC}\n";

/// The whole tree that the incumbent documents, filled in as by its operators.
const BROUGHT_ALONG: &str = "
env: production
db: {key_file: secret/key}
callback:
  cb_server:
    - {service_address: 'http://risk.internal:11020/v1/check', pubkey_path: keys/v1.pem}
  cb_server_v2:
    - {service_address: 'https://risk.example.com/v2/check', pubkey_path: keys/v2-a.pem}
    - {service_address: 'https://audit.example.com/v2/check?tenant=7', pubkey_path: keys/v2-b.pem}
  token_expire_minutes: 3
  retry_times: 60
  sleep_seconds: 60
  request_timeout: 10
  monitor_interval: 1m30s
embedded_risk_control_rules:
  enable: true
  key_gen:
    reject_all: false
    allow_list:
      - {threshold: 2, node_ids: [a, b, c]}
  key_sign: {reject_all: false}
  key_reshare:
    allow_list:
  key_share_sign: {reject_all: true}
log:
  std: {enable: true, level: info}
  file: {enable: true, level: info, filename: logs/node.log, maxsize: 100, max_backups: 30}
metrics:
  job: tss-node
  influxdb: {server_addr: 'http://example.com:8086', database: tss}
policy:
  plugins:
    - {name: mine, file: mine.wasm}
";

fn parse(rest: &str) -> Result<Config, ConfigError> {
    let key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    let id = CoordinatorId::from_bytes(key).unwrap().to_string();
    complete(&format!("{}{rest}", COORDINATOR.replace("CSC", &id)))
}

/// Parses a configuration and checks that `start` would accept it.
fn complete(text: &str) -> Result<Config, ConfigError> {
    let config = Config::parse(text, Path::new("/base"))?;
    config.check_complete()?;
    Ok(config)
}

#[test]
fn paths_start_at_the_file_and_defaults_hold() {
    let config = parse("policy: {allow_unguarded: true}\n").unwrap();
    assert_eq!(config.dir, Path::new("/base/db"));
    assert_eq!(config.session.ready, Duration::from_secs(5));
}

#[test]
fn no_plugin_and_no_override_is_refused() {
    let error = parse("").unwrap_err();
    assert!(matches!(error, ConfigError::Unguarded));
    assert!(error.to_string().contains("allow_unguarded"));
}

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_key() {
    let error = parse("policy:\n  allow_ungarded: true\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 3"), "{error}");
    assert!(
        error.contains("`allow_ungarded`") && error.contains("`allow_unguarded`"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_name_their_key() {
    let error = parse("policy: {allow_unguarded: true}\nlimits: {ready_seconds: 0}\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("limits.ready_seconds"), "{error}");
    let error = parse("policy: {allow_unguarded: true}\nlog: {std: {level: loud}}\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("loud"), "{error}");
}

#[test]
fn networks_are_named_and_unknown_ones_refused() {
    let chains = |text: &str| parse(&format!("policy: {{allow_unguarded: true}}\n{text}"));
    let main = chains("").unwrap().networks;
    assert_eq!(main.bitcoin, "bip122:000000000019d6689c085ae165831e93");
    assert_eq!(main.solana, "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp");
    let regtest = chains("chains: {bitcoin: regtest}\n").unwrap().networks;
    assert_eq!(regtest.bitcoin, "bip122:0f9188f13cb7b2c71f2a335e3a4fc328");
    let error = chains("chains: {solana: moonnet}\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("moonnet") && error.contains("devnet"),
        "{error}"
    );
}

#[test]
fn a_plugin_has_one_config_one_name_and_a_whole_digest() {
    let plugins = |text: &str| {
        parse(&format!("policy:\n  plugins:\n{text}"))
            .unwrap_err()
            .to_string()
    };
    let two = plugins("  - {name: a, file: a.wasm, config: {}, config_file: b.yaml}\n");
    assert!(two.contains("config_file"), "{two}");
    let twice = plugins("  - {name: a, file: a.wasm}\n  - {name: a, file: b.wasm}\n");
    assert!(twice.contains("`a`"), "{twice}");
    let digest = plugins("  - {name: a, file: a.wasm, digest: 'sha256:00'}\n");
    assert!(digest.contains("sha256:"), "{digest}");
}

#[test]
fn sections_that_are_brought_along_become_plugin_entries_in_front() {
    let config = parse(BROUGHT_ALONG).unwrap();
    let names: Vec<&str> = config
        .policy
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    assert_eq!(names, ["rules", "jwt-callback", "mine"]);
    let rules = &config.policy.plugins[0];
    let callback = &config.policy.plugins[1];
    assert_eq!(rules.component, Component::Installed("rules".into()));
    assert_eq!(rules.grants.state_bytes, 1 << 20);
    let PluginConfig::Inline(tree) = &rules.source else {
        panic!("inline")
    };
    assert_eq!(tree["key_gen"]["allow_list"][0]["threshold"], 2);
    assert!(
        tree["key_reshare"].get("allow_list").is_none(),
        "a key without value is not there"
    );
    assert_eq!(
        callback.grants.keys,
        [
            "callback",
            "callback-v1-1",
            "callback-v2-1",
            "callback-v2-2"
        ]
    );
    assert_eq!(
        callback.grants.http,
        [
            "http://risk.internal:11020/v1/check",
            "https://risk.example.com/v2/check",
            "https://audit.example.com/v2/check"
        ]
    );
    assert_eq!(
        config.policy.public_keys["callback-v2-2"],
        Path::new("/base/keys/v2-b.pem")
    );
    assert_eq!(callback.monitor_interval, Some(Duration::from_secs(90)));
    let PluginConfig::Inline(document) = &callback.source else {
        panic!("inline")
    };
    assert_eq!(document["servers"][0]["version"], "v1");
    assert_eq!(
        document["servers"][2]["url"],
        "https://audit.example.com/v2/check?tenant=7"
    );
    assert_eq!(document["retry_times"], 60);
}

#[test]
fn a_rule_with_nothing_behind_it_reaches_the_plugin_which_refuses_it() {
    let text = "embedded_risk_control_rules:\n  enable: true\n  key_gen:\n  key_sign:\n    policies:\n      - {name: p, messages: {}, hours: }\n";
    let config = parse(text).unwrap();
    let PluginConfig::Inline(tree) = &config.policy.plugins[0].source else {
        panic!("inline")
    };
    assert!(tree.get("key_gen").is_none());
    assert!(
        tree["key_sign"]["policies"][0]
            .get("hours")
            .is_some_and(|hours| hours.is_null()),
        "{tree}"
    );
}

#[test]
fn the_printed_expansion_means_the_same_policy() {
    let config = parse(BROUGHT_ALONG).unwrap();
    let printed = config.expansion.expect("there are shorthands");
    assert_eq!(parse(&printed).unwrap().policy, config.policy, "{printed}");
    assert_eq!(parse(&printed).unwrap().expansion, None);
}

#[test]
fn the_printed_receivers_are_those_that_the_shorthand_stands_for() {
    let event = "policy: {allow_unguarded: true}
events: {receivers: [{name: mine, file: mine.wasm}]}
event:
  server: [{url: 'https://a.example/v2/event?x=1'}, {url: 'https://b.example/', retry_times: 0, sleep_seconds: 5}]
  event_types: [request.keysign.failed]
  monitor_interval: 5m
";
    let config = parse(event).unwrap();
    let printed = config.expansion.expect("there is a shorthand");
    assert!(
        printed.starts_with("events:") && !printed.contains("policy:"),
        "{printed}"
    );
    let again = parse(&format!("policy: {{allow_unguarded: true}}\n{printed}")).unwrap();
    assert_eq!(
        (again.receivers, again.expansion),
        (config.receivers, None),
        "{printed}"
    );
    let silent =
        parse("policy: {allow_unguarded: true}\nevent: {server: [{url: 'https://a.example/'}]}\n");
    assert!(silent.unwrap().notes[0].contains("event.event_types"));
}

#[test]
fn the_keys_of_the_node_are_each_for_one_purpose() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let plugin =
        error("policy: {plugins: [{name: a, file: a.wasm, grants: {keys: [callback, event]}}]}\n");
    assert!(
        plugin.contains("plugin `a` is granted the key `event`") && plugin.contains("grants.keys"),
        "{plugin}"
    );
    let receiver = error(
        "policy: {allow_unguarded: true}\nevents: {receivers: [{name: b, file: b.wasm, grants: {keys: [callback]}}]}\n",
    );
    assert!(
        receiver.contains("receiver `b` is granted the key `callback`"),
        "{receiver}"
    );
    for section in ["public_keys", "secrets"] {
        for name in ["event", "callback"] {
            let taken = error(&format!(
                "policy: {{allow_unguarded: true, {section}: {{{name}: a.pem}}}}\n"
            ));
            assert!(
                taken.contains(section) && taken.contains("choose another name"),
                "{taken}"
            );
        }
    }
}

#[test]
fn a_node_lets_itself_be_looked_at_on_its_own_machine_only() {
    let metrics = |text: &str| {
        parse(&format!(
            "policy: {{allow_unguarded: true}}\nmetrics: {text}\n"
        ))
    };
    let whole = metrics("{listen: '127.0.0.1:9464', job: tss, instance: 3, name_prefix: a_}")
        .unwrap()
        .metrics;
    assert_eq!(whole.listen, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(
        whole.labels,
        [
            ("job".into(), "tss".into()),
            ("instance".into(), "3".into())
        ]
    );
    assert_eq!(whole.prefix, "a_");
    assert_eq!(
        metrics("{listen: '[::1]:1'}").unwrap().metrics.listen,
        Some("[::1]:1".parse().unwrap())
    );
    assert_eq!(metrics("").unwrap().metrics.listen, None);
    for (text, word) in [
        ("{listen: '0.0.0.0:9464'}", "other machines may reach"),
        ("{listen: '192.168.1.5:9464'}", "other machines may reach"),
        ("{listen: 'localhost:9464'}", "write 127.0.0.1:PORT"),
        ("{listen: '9464'}", "write 127.0.0.1:PORT"),
        ("{instance: [1]}", "metrics.instance"),
        ("{name_prefix: a-}", "metrics.name_prefix"),
        ("{name_prefix: 1a}", "metrics.name_prefix"),
        ("{listn: x}", "did you mean `listen`?"),
    ] {
        let error = metrics(text).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn callbacks_have_the_documented_defaults_and_time_for_all_tries() {
    let server = "{service_address: 'http://a/v2/check', pubkey_path: a.pem}";
    let config = parse(&format!("callback: {{cb_server_v2: [{server}]}}\n")).unwrap();
    let [_, callback] = &config.policy.plugins[..] else {
        panic!("check-ups, and the callback")
    };
    let PluginConfig::Inline(document) = &callback.source else {
        panic!("inline")
    };
    let numbers = [
        "retry_times",
        "sleep_seconds",
        "request_timeout",
        "token_expire_minutes",
    ];
    assert_eq!(
        numbers.map(|name| document[name].as_u64().unwrap()),
        [2, 15, 10, 2]
    );
    assert!(
        config.policy.wall_ms(callback) > 60_000,
        "three tries and two pauses"
    );
    assert!(
        !config
            .notes
            .iter()
            .any(|note| note.contains("deadline_seconds")),
        "{:?}",
        config.notes
    );
    let slow = parse(&format!(
        "callback: {{cb_server_v2: [{server}], retry_times: 3}}\n"
    ))
    .unwrap();
    let note = slow
        .notes
        .iter()
        .find(|note| note.contains("deadline_seconds"))
        .expect("it does not fit");
    assert!(
        note.contains("take 85 s") && note.contains("after 3 whole attempts"),
        "{note}"
    );
}

/// Some servers in the field refuse a check-up, never answer, or answer a different request.
#[test]
fn callbacks_that_are_brought_along_are_not_asked_about_check_ups() {
    let guards = |text: &str| {
        let plugins = parse(text).unwrap().policy.plugins;
        let operations = |entry: &PluginEntry| entry.scope.operations.clone();
        plugins
            .iter()
            .map(|entry| (entry.name.clone(), operations(entry)))
            .collect::<Vec<_>>()
    };
    let others = OperationKind::ALL
        .into_iter()
        .filter(|kind| *kind != OperationKind::KeyShareSign);
    let callback =
        "callback: {cb_server_v2: [{service_address: 'http://a/v2/check', pubkey_path: a.pem}]}\n";
    let asked = ("jwt-callback".to_owned(), others.collect());
    let by_rules = (
        "rules:check-ups".to_owned(),
        vec![OperationKind::KeyShareSign],
    );
    assert_eq!(guards(callback), [by_rules.clone(), asked.clone()]);
    let with_rules = format!("{callback}embedded_risk_control_rules: {{enable: true}}\n");
    assert_eq!(
        guards(&with_rules),
        [("rules".to_owned(), vec![]), asked.clone()]
    );
    let native = format!("{callback}policy: {{plugins: [{{name: mine, file: mine.wasm}}]}}\n");
    assert_eq!(
        guards(&native),
        [asked.clone(), ("mine".to_owned(), vec![])]
    );
    let elsewhere = format!(
        "{callback}policy: {{plugins: [{{name: mine, file: m.wasm, scope: {{operations: [keygen]}}}}]}}\n"
    );
    assert_eq!(guards(&elsewhere)[..2], [by_rules, asked]);
}

#[test]
fn what_means_nothing_here_is_named_and_what_would_mislead_is_refused() {
    let notes = parse(BROUGHT_ALONG).unwrap().notes.join("\n");
    for key in [
        "env is ignored",
        "metrics.influxdb.server_addr is http://example.com",
        "/base/keys/v1.pem",
    ] {
        assert!(notes.contains(key), "{key} in {notes}");
    }
    let refused = |text: &str| {
        parse(&format!("policy: {{allow_unguarded: true}}\n{text}"))
            .unwrap_err()
            .to_string()
    };
    let relay = refused("websocket: {url: 'wss://relay.example/ws'}\n");
    assert!(
        relay.contains("websocket.url") && relay.contains("coordinator.address"),
        "{relay}"
    );
    let policy = refused("callback: {check_policy: {a: 1}}\n");
    assert!(policy.contains("policy.plugins"), "{policy}");
    let database = refused("db: {path: db/secrets.db}\n");
    assert!(database.contains("secrets.redb.age"), "{database}");
    let unknown = refused("callback: {retry_time: 1}\n");
    assert!(unknown.contains("did you mean `retry_times`?"), "{unknown}");
}

#[test]
fn a_file_without_coordinator_is_told_what_to_write() {
    let error = |text: &str| complete(text).unwrap_err().to_string();
    assert!(error("policy: {allow_unguarded: true}\n").contains("coordinator: { address"));
    let relay = error("websocket: {url: 'wss://relay.example/ws'}\n");
    assert!(
        relay.contains("websocket.url"),
        "what was brought along is named first: {relay}"
    );
}

#[test]
fn rules_that_are_switched_off_guard_nothing_and_the_file_says_so() {
    let error = parse("embedded_risk_control_rules: {enable: false}\n").unwrap_err();
    assert!(matches!(error, ConfigError::Unguarded));
    let off = "embedded_risk_control_rules: {key_sign: {reject_all: true}}\npolicy: {allow_unguarded: true}\n";
    let config = parse(off).unwrap();
    assert!(config.policy.plugins.is_empty());
    assert!(
        config.notes[0].contains("embedded_risk_control_rules.enable is false"),
        "{:?}",
        config.notes
    );
    let error = parse("embedded_risk_control_rules: {enable: 'yes'}\n").unwrap_err();
    assert!(matches!(error, ConfigError::RulesSwitch));
}

#[test]
fn a_component_is_a_file_or_installed() {
    let entry = |text: &str| {
        parse(&format!("policy:\n  plugins:\n  - {text}\n")).map(|c| c.policy.plugins[0].clone())
    };
    let installed = |text: &str| entry(text).unwrap().component;
    assert_eq!(
        installed("{name: 'rules:night'}"),
        Component::Installed("rules".into())
    );
    assert_eq!(
        installed("{name: rules, installed: house-rules}"),
        Component::Installed("house-rules".into())
    );
    assert_eq!(
        installed("{name: a, file: a.wasm}"),
        Component::File("/base/a.wasm".into())
    );
    for (text, word) in [
        ("{name: a, file: a.wasm, installed: a}", "keep one"),
        ("{name: a, scope: {operations: [keysing]}}", "keysign"),
        ("{name: a, monitor_interval: '5'}", "such as 30s"),
        ("{name: a, monitor_interval: 1ms}", "at least 1s"),
    ] {
        let error = entry(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_shadow_decides_nothing_and_is_compared_with_what_does() {
    let plugins = |text: &str| parse(&format!("policy:\n  plugins: {text}\n"));
    let config =
        plugins("[{name: rules}, {name: 'rules:next', shadows: rules}, {name: new, shadow: true}]")
            .unwrap();
    let shadows: Vec<_> = config
        .policy
        .plugins
        .iter()
        .map(|plugin| plugin.shadow.clone())
        .collect();
    assert_eq!(
        shadows,
        [
            None,
            Some(Shadow::Entry("rules".into())),
            Some(Shadow::Chain)
        ]
    );
    assert!(matches!(
        plugins("[{name: new, shadow: true}]").unwrap_err(),
        ConfigError::Unguarded
    ));
    let lost = plugins("[{name: rules}, {name: new, shadows: rulez}]")
        .unwrap_err()
        .to_string();
    assert!(lost.contains("`rulez`"), "{lost}");
    let publisher =
        parse("policy: {allow_unguarded: true, trusted_publishers: {acme: abc}}\n").unwrap_err();
    assert!(
        publisher.to_string().contains("64 hexadecimal digits"),
        "{publisher}"
    );
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    let refused = |text: &str, line: usize, key: &str| {
        let error = parse(text).unwrap_err().to_string();
        // The first line is the section of the coordinator.
        let place = format!("line {}, ", line + 1);
        assert!(
            error.starts_with(&place) && error.contains(&format!("`{key}` appears twice")),
            "{error}"
        );
    };
    refused("policy: {allow_unguarded: true}\npolicy: {}\n", 2, "policy");
    refused(
        "policy:\n  allow_unguarded: false\n  allow_unguarded: true\n",
        3,
        "allow_unguarded",
    );
    refused(
        "policy:\n  public_keys:\n    a: one.pem\n    a: two.pem\n",
        4,
        "a",
    );
    let inline = "policy:\n  plugins:\n  - name: rules\n    config:\n      enable: true\n      key_sign: {reject_all: true}\n      \
                  key_sign: {reject_all: false}\n";
    refused(inline, 7, "key_sign");
    refused(
        "events:\n  receivers:\n  - name: jwt-events\n    config: {url: a, url: b}\n",
        4,
        "url",
    );
    refused(
        "embedded_risk_control_rules:\n  enable: true\n  key_gen: {reject_all: true, reject_all: false}\n",
        3,
        "reject_all",
    );
    refused("env: {a: 1, a: 2}\n", 1, "a");
    for (text, word) in [
        ("policy: &p {allow_unguarded: true}\n", "anchor"),
        ("policy:\n  <<: {}\n", "merge key"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn whoever_is_listed_twice_is_refused() {
    let key = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    let node = countersign_protocol::NodeId::from_bytes(key).unwrap();
    let twice = parse(&format!(
        "policy: {{allow_unguarded: true}}\nroster: [{{name: a, id: {node}}}, {{name: b, id: {node}}}]\n"
    ));
    assert!(matches!(
        twice.unwrap_err(),
        ConfigError::Duplicate {
            section: "roster",
            ..
        }
    ));
}

/// A new node that is merely inspected may lack a coordinator and a plugin; one that
/// is started needs both.
#[test]
fn only_start_minds_what_is_not_there_yet() {
    let config = Config::parse(
        "requesters:\nroster:\npolicy:\n  plugins:\n",
        Path::new("/base"),
    )
    .unwrap();
    assert!(
        config.coordinator.is_none() && config.requesters.is_empty() && config.roster.is_empty()
    );
    assert!(matches!(
        config.check_complete(),
        Err(ConfigError::Unguarded)
    ));
    let config = Config::parse("policy: {allow_unguarded: true}\n", Path::new("/base")).unwrap();
    assert!(matches!(
        config.check_complete(),
        Err(ConfigError::NoCoordinator)
    ));
}

#[test]
fn metrics_are_pushed_as_the_file_that_is_brought_along_says() {
    let influx = |keys: &str| {
        let text =
            format!("policy: {{allow_unguarded: true}}\nmetrics: {{influxdb: {{{keys}}}}}\n");
        parse(&text).map(|config| (config.metrics.influx, config.notes))
    };
    let (old, notes) = influx(
        "server_addr: 'http://127.0.0.1:8086', database: tss, username: node, password: secret",
    )
    .unwrap();
    let old = old.unwrap();
    let Secret::Here(password) = (match &old.into {
        InfluxInto::Database {
            name,
            user: Some((user, secret)),
        } if name == "tss" && user == "node" => secret,
        other => panic!("{other:?}"),
    }) else {
        panic!("in the file")
    };
    assert_eq!(
        (password.expose(), old.every),
        ("secret", Duration::from_secs(10))
    );
    assert!(!format!("{old:?}").contains("secret"), "never shown");
    assert!(
        notes.len() == 1 && notes[0].contains("password_file"),
        "{notes:?}"
    );
    let (new, notes) = influx(
        "server_addr: 'https://influx.example/db', org: acme, bucket: b, token_file: t, interval_seconds: 60",
    )
    .unwrap();
    let expected = InfluxInto::Bucket {
        org: "acme".into(),
        name: "b".into(),
        token: "/base/t".into(),
    };
    assert_eq!((new.unwrap().into, notes), (expected, vec![]));
    for nothing in [
        "",
        "server_addr: '', database: '', username: '', password: ''",
        "server_addr: , database: ",
    ] {
        assert_eq!(influx(nothing).unwrap().0, None, "{nothing}");
    }
    for (keys, word) in [
        (
            "server_addr: 'influx:8086', database: d",
            "http://HOST:PORT",
        ),
        (
            "server_addr: 'http://a:b@influx', database: d",
            "password_file",
        ),
        ("server_addr: 'http://influx'", "database"),
        (
            "server_addr: 'http://influx', database: d, bucket: b",
            "keep one kind",
        ),
        (
            "server_addr: 'http://influx', database: d, token_file: t",
            "keep one kind",
        ),
        (
            "server_addr: 'http://influx', bucket: b, token_file: t",
            "write org",
        ),
        (
            "server_addr: 'http://influx', bucket: b, org: o",
            "token_file",
        ),
        (
            "server_addr: 'http://influx', bucket: b, org: o, username: u, password: p",
            "token_file",
        ),
        (
            "server_addr: 'http://influx', database: d, username: u",
            "password_file",
        ),
        (
            "server_addr: 'http://influx', database: d, password: p",
            "write username",
        ),
        (
            "server_addr: 'http://influx', database: d, username: u, password: p, password_file: f",
            "twice",
        ),
        (
            "server_addr: 'http://influx', database: d, interval_seconds: 0",
            "interval_seconds",
        ),
        ("server_addr: 'http://influx', token: t", "token"),
    ] {
        let error = influx(keys).unwrap_err().to_string();
        assert!(error.contains(word), "{keys}: {error}");
    }
}

#[test]
fn a_password_in_a_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    let influx = "{server_addr: 'http://localhost:8086', database: d, username: u, password: p}";
    std::fs::write(&file, format!("metrics: {{influxdb: {influx}}}\n")).unwrap();
    let allow = |mode| {
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap()
    };
    allow(0o640);
    let error = Config::load(&file).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
    allow(0o600);
    Config::load(&file).unwrap();
}
