//! A hostile component can only cause a refusal, each with its own code.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_host::{Code, Evaluation, Host, HostLimits, Level, Plugin, PluginSpec, Verdict};
use serde_json::{Value, json};

use crate::guests::{host, keygen, rogue, services, soon};

async fn load(host: &Host, spec: &PluginSpec) -> Plugin {
    host.load(spec, services()).await.unwrap()
}

async fn evaluate(deed: Value) -> Evaluation {
    load(&host(), &rogue(json!({"evaluate": deed})))
        .await
        .evaluate(&keygen(), soon())
        .await
}

/// The host stops the guest, with this code and these words.
async fn assert_stopped(deed: Value, code: Code, words: &str) {
    let evaluation = evaluate(deed.clone()).await;
    let Verdict::Failed {
        code: actual,
        reason,
    } = &evaluation.verdict
    else {
        panic!("{deed}: {:?}", evaluation.verdict);
    };
    assert_eq!(
        (*actual, reason.contains(words)),
        (code, true),
        "{deed}: {reason}"
    );
    assert!(
        evaluation.elapsed < Duration::from_secs(5),
        "{deed}: {:?}",
        evaluation.elapsed
    );
    assert!(evaluation.writes.is_empty(), "{deed}");
}

/// The guest lives, and its import refused what it wanted.
async fn assert_denied(deed: Value, code: &str) {
    let evaluation = evaluate(deed.clone()).await;
    assert_eq!(
        evaluation.verdict.refusal().map(|(code, _)| code),
        Some(code),
        "{deed}: {:?}",
        evaluation.verdict
    );
}

#[tokio::test]
async fn a_harmless_guest_approves() {
    assert_eq!(evaluate(json!("nothing")).await.verdict, Verdict::Approve);
}

#[tokio::test]
async fn computing_for_ever_is_stopped() {
    assert_stopped(json!("loop"), Code::Cpu, "100 ms of CPU").await;
}

#[tokio::test]
async fn allocating_for_ever_is_stopped() {
    assert_stopped(json!("allocate"), Code::Memory, "33554432 are granted").await;
}

#[tokio::test]
async fn recursing_for_ever_is_stopped() {
    assert_stopped(json!("recurse"), Code::Stack, "stack").await;
}

#[tokio::test]
async fn a_panic_is_a_refusal_that_says_what_happened() {
    assert_stopped(json!("panic"), Code::Trap, "something is wrong").await;
}

#[tokio::test]
async fn leaving_is_a_refusal() {
    assert_stopped(json!("exit"), Code::Exit, "exit").await;
}

#[tokio::test]
async fn sleeping_is_cut_off() {
    for deed in [
        json!({"sleep": 3_600_000}),
        json!({"wasi-sleep": 3_600_000}),
        json!({"sleep": u64::MAX}),
    ] {
        assert_stopped(deed, Code::Timeout, "time").await;
    }
}

#[tokio::test]
async fn the_deadline_of_the_task_beats_the_grant() {
    let plugin = load(&host(), &rogue(json!({"evaluate": {"sleep": 1200}}))).await;
    let started = Instant::now();
    let evaluation = plugin
        .evaluate(&keygen(), started + Duration::from_millis(100))
        .await;
    assert!(
        matches!(
            evaluation.verdict,
            Verdict::Failed {
                code: Code::Timeout,
                ..
            }
        ),
        "{:?}",
        evaluation.verdict
    );
    assert!(started.elapsed() < Duration::from_millis(900));
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict,
        Verdict::Approve
    );
}

#[tokio::test]
async fn huge_output_is_stopped() {
    assert_stopped(json!({"reason": 12 << 20}), Code::Output, "hostcalls").await;
    assert_stopped(json!({"log": [1, 8 << 20]}), Code::Output, "hostcalls").await;
}

#[tokio::test]
async fn endless_output_and_signing_exhaust_their_budgets() {
    assert_stopped(json!({"log": [100_000, 3]}), Code::Budget, "log lines").await;
    let mut spec = rogue(json!({"evaluate": {"sign-for-ever": "callback"}}));
    (spec.grants.cpu_ms, spec.grants.wall_ms) = (20_000, 20_000);
    let verdict = load(&host(), &spec)
        .await
        .evaluate(&keygen(), soon())
        .await
        .verdict;
    assert!(
        matches!(
            &verdict,
            Verdict::Failed {
                code: Code::Budget,
                ..
            }
        ),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_long_reason_is_cut_and_cannot_steer_a_terminal() {
    let Verdict::Failed { code, reason } = evaluate(json!({"reason": 100_000})).await.verdict
    else {
        panic!("not a failure");
    };
    // The guest tried to pass for the host's own code.
    assert_eq!(code, Code::RejectCode);
    assert!(
        reason.len() < 1100 && !reason.contains('\u{1b}'),
        "{reason}"
    );
}

#[tokio::test]
async fn logs_are_kept_within_bounds() {
    let evaluation = evaluate(json!({"log": [500, 9000]})).await;
    assert_eq!(evaluation.verdict, Verdict::Approve);
    assert_eq!(evaluation.logs.len(), 100);
    assert!(
        evaluation
            .logs
            .iter()
            .all(|line| line.level == Level::Error && line.message.len() < 4200)
    );
    assert!(!evaluation.logs[0].message.contains(['\u{1b}', '\n']));
}

#[tokio::test]
async fn printing_does_no_harm() {
    let evaluation = evaluate(json!({"print": 1 << 20})).await;
    assert!(
        matches!(evaluation.verdict, Verdict::Failed { .. }),
        "{:?}",
        evaluation.verdict
    );
}

#[tokio::test]
async fn a_failure_keeps_its_kind() {
    for (kind, code) in [
        ("misconfigured", Code::Misconfigured),
        ("unavailable", Code::Unavailable),
        ("unsupported", Code::Unsupported),
        ("internal", Code::Internal),
    ] {
        assert_stopped(json!({"fail": kind}), code, kind).await;
    }
}

#[tokio::test]
async fn a_key_does_only_what_was_granted() {
    assert_denied(json!({"sign": "callback"}), "not-a-jwt").await;
    assert_denied(json!({"sign": "cb"}), "unknown-key").await;
    assert_denied(json!({"sign": "identity"}), "unknown-key").await;
    assert_denied(json!({"verify": "callback"}), "unknown-key").await;
    assert_eq!(
        evaluate(json!({"verify": "cb"})).await.verdict,
        Verdict::Approve
    );
}

#[tokio::test]
async fn requests_leave_only_for_granted_urls() {
    for (url, header) in [
        ("http://127.0.0.1:9/other", "accept"),
        ("http://127.0.0.1:9/allowedly", "accept"),
        ("http://127.0.0.1:10/allowed/", "accept"),
        ("http://127.0.0.1:9/allowed/../other", "accept"),
        ("https://127.0.0.1:9/allowed/", "accept"),
        ("http://127.0.0.1:9/allowed/", "Host"),
        ("http://127.0.0.1:9/allowed/", "transfer-encoding"),
    ] {
        assert_denied(json!({"request": [url, header]}), "denied").await;
    }
    // Nobody listens on the discard port: a granted request gets as far as that.
    assert_denied(
        json!({"request": ["http://127.0.0.1:9/allowed/x", "accept"]}),
        Code::Unavailable.as_str(),
    )
    .await;
}

#[tokio::test]
async fn environment_and_arguments_are_empty() {
    assert_denied(json!("environment"), "nothing-there").await;
}

#[tokio::test]
async fn memory_is_staged_within_its_quota() {
    let services = services();
    let plugin = host()
        .load(
            &rogue(json!({"evaluate": {"remember": 400}})),
            services.clone(),
        )
        .await
        .unwrap();
    let first = plugin.evaluate(&keygen(), soon()).await;
    assert_eq!(first.verdict, Verdict::Approve);
    assert_eq!(
        (
            first.writes[0].key.as_str(),
            first.writes[0].value.as_ref().unwrap().len()
        ),
        ("entry", 400)
    );
    assert_eq!(
        first.logs[0].fields[1],
        ("after".into(), "400".into()),
        "a call sees its own write"
    );

    let again = plugin.evaluate(&keygen(), soon()).await;
    assert_eq!(
        again.logs[0].fields[0].1, "0",
        "nothing is durable before the decision is"
    );

    services.commit(&first);
    let second = plugin.evaluate(&keygen(), soon()).await;
    assert_eq!(second.logs[0].fields[0].1, "400");
    services.commit(&second);
    let third = plugin.evaluate(&keygen(), soon()).await;
    assert_eq!(third.verdict.refusal().map(|(code, _)| code), Some("quota"));
    assert!(third.writes.is_empty());
}

#[tokio::test]
async fn instances_share_nothing() {
    let host = host();
    let plugin = load(&host, &rogue(json!({"evaluate": {"remember": 400}}))).await;
    for _ in 0..5 {
        assert_eq!(
            plugin.evaluate(&keygen(), soon()).await.logs[0].fields[0].1,
            "0"
        );
    }
}

/// One thread serves guest and heartbeat: the heartbeat goes on only because the guest yields.
#[tokio::test(flavor = "current_thread")]
async fn a_busy_guest_does_not_hold_the_executor() {
    let mut spec = rogue(json!({"evaluate": "loop"}));
    spec.grants.cpu_ms = 400;
    let plugin = Arc::new(load(&host(), &spec).await);
    let guest = tokio::spawn(async move { plugin.evaluate(&keygen(), soon()).await });
    let mut beats = 0;
    while !guest.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        beats += 1;
    }
    assert!(beats > 20, "{beats} beats in 400 ms");
    assert!(matches!(
        guest.await.unwrap().verdict,
        Verdict::Failed {
            code: Code::Cpu,
            ..
        }
    ));
}

#[tokio::test]
async fn more_calls_than_slots_wait() {
    let host = Host::new(HostLimits {
        slots: 2,
        ..HostLimits::default()
    })
    .unwrap();
    let plugin = Arc::new(load(&host, &rogue(json!({"evaluate": {"sleep": 50}}))).await);
    let call =
        |plugin: Arc<Plugin>| async move { plugin.evaluate(&keygen(), soon()).await.verdict };
    let calls: Vec<_> = (0..8).map(|_| tokio::spawn(call(plugin.clone()))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Verdict::Approve);
    }
}

#[tokio::test]
async fn a_full_house_refuses_at_the_deadline() {
    let host = Host::new(HostLimits {
        slots: 1,
        ..HostLimits::default()
    })
    .unwrap();
    let plugin = Arc::new(load(&host, &rogue(json!({"evaluate": {"sleep": 1000}}))).await);
    let first = tokio::spawn({
        let plugin = plugin.clone();
        async move { plugin.evaluate(&keygen(), soon()).await.verdict }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = plugin
        .evaluate(&keygen(), Instant::now() + Duration::from_millis(100))
        .await;
    assert!(
        matches!(
            second.verdict,
            Verdict::Failed {
                code: Code::Busy,
                ..
            }
        ),
        "{:?}",
        second.verdict
    );
    assert_eq!(first.await.unwrap(), Verdict::Approve);
}
