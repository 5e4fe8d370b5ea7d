//! A coordinator that never comes to an end, and one that says that an order has.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers byte by byte, without end.
async fn drip(mut caller: tokio::net::TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(caller.read_u8().await?);
    }
    let begin =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    caller.write_all(begin.as_bytes()).await?;
    loop {
        caller.write_all(b" ").await?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_byte_by_byte_is_waited_for_as_long_as_was_said() {
    let coordinator = Scripted::start(|_| problem(500, "unused")).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            tokio::spawn(drip(caller));
        }
    });
    let path = coordinator.dir.path().join("profile.yaml");
    let profile = std::fs::read_to_string(&path).unwrap();
    let (_, rest) = profile.split_once('\n').unwrap();
    std::fs::write(&path, format!("coordinator: http://{address}\n{rest}")).unwrap();
    let id = TaskId([1; 16]).to_string();
    for (args, code) in [
        (&["task", "show", &id, "--wait"][..], 4),
        (&["task", "watch", &id], 4),
        (&["wallet", "list"], 1),
    ] {
        let args = [args, &["--timeout", "1"]].concat();
        let ended = coordinator.run(&args);
        // Without a limit, an answer is given up after 50 seconds.
        let limit = std::time::Duration::from_secs(40);
        let ended = tokio::time::timeout(limit, ended)
            .await
            .expect("it waits on");
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{args:?}: {}",
            text(&ended.stderr)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_lead_nowhere_are_not_followed_for_ever() {
    for next in [&["a"][..], &["a", "b", "c"]] {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let coordinator = Scripted::start(move |_| {
            let place = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % next.len();
            told(json!({"wallets": [], "next": next[place]}))
        })
        .await;
        let listed = coordinator.run(&["wallet", "list"]).await;
        assert_eq!(listed.status.code(), Some(1));
        let error = text(&listed.stderr);
        assert!(error.contains("leads back to an earlier page"), "{error}");
        assert_eq!(coordinator.asked().len(), next.len() + 1);
    }
    let order = order(&stranger(), &OURS, 1);
    let task = in_state(&order, TaskId([1; 16]), State::Running, 1);
    let coordinator = Scripted::start(move |asked| {
        let tests = asked.query.contains("webhook.test");
        match (asked.stream, tests) {
            (true, _) => problem(429, "too-many-streams"),
            (false, true) => told(json!({"events": [], "next": "5"})),
            (false, false) => {
                let event = event("5", "task.started", &task);
                told(json!({"events": [event], "next": "5"}))
            }
        }
    })
    .await;
    let followed = coordinator
        .run(&["event", "follow", "--timeout", "30"])
        .await;
    assert_eq!(
        followed.status.code(),
        Some(1),
        "{}",
        text(&followed.stdout)
    );
    let error = text(&followed.stderr);
    assert!(error.contains("the same events again"), "{error}");
}

/// The order that was handed in, as a coordinator sees it.
fn handed_in(asked: &Asked) -> SignedTask {
    let signature = hex::decode(asked.body["signature"].as_str().unwrap()).unwrap();
    SignedTask {
        bytes: asked.body["task"].as_str().unwrap().as_bytes().to_vec(),
        signature: countersign_protocol::OrderProof::from_bytes(&signature).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_may_be_made_up_is_told_as_the_coordinators_word() {
    let create = &CREATE[..CREATE.len() - 1];
    for (state, code) in [
        (State::Rejected, 2),
        (State::Failed, 3),
        (State::Expired, 3),
        (State::Cancelled, 3),
    ] {
        for earlier in [false, true] {
            let coordinator = Scripted::start(move |asked| {
                let order = handed_in(asked);
                let mut view = in_state(&order, order.parse().unwrap().id, state, 1);
                if earlier {
                    view.summary.not_after.0 = 1;
                }
                told(json!(view))
            })
            .await;
            let ended = coordinator.run(create).await;
            let error = text(&ended.stderr);
            if earlier {
                assert!(error.contains("is not valid"), "{error}");
                continue;
            }
            assert_eq!(ended.status.code(), Some(code), "{error}");
            assert!(
                error.contains("the coordinator's word alone")
                    && error.contains("order nothing in its place before"),
                "{error}"
            );
            assert!(!error.contains("new task"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_to_stay_out_of_a_task_that_would_wait_and_nobody_is_gone_around() {
    let asked = |verdict: Value, chosen: bool| {
        Scripted::start(move |asked| {
            let node = |seed, answer: Value| {
                let mut answer = answer;
                answer["node"] = json!(node(seed));
                answer["chosen"] = json!(chosen);
                answer
            };
            let yes = json!({"answer": "would-approve", "verdicts": [], "not_asked": []});
            told(json!({
                "task": submitted(asked), "operation": "KeyGen", "at": 1, "needed": 3, "verdict": verdict,
                "nodes": [node(1, yes.clone()), node(2, yes), node(3, json!({"answer": "offline"}))]
            }))
        })
    };
    let waiting = asked(json!({"kind": "waiting", "missing": [node(3)]}), false).await;
    let lines = text(&waiting.run(&CREATE).await.stdout);
    assert!(
        lines.contains("n1: would approve") && !lines.contains("not take part"),
        "{lines}"
    );
    let refused = json!({"kind": "refused", "by": [node(1)], "instead": [node(2), node(3)]});
    let lines = text(&asked(refused, true).await.run(&CREATE).await.stdout);
    assert!(
        lines.contains("would be refused by n1") && !lines.contains("--signers"),
        "{lines}"
    );
}
