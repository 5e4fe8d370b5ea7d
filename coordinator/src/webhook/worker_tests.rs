use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::registry::RegistryConfig;
use crate::task::flow::Timings;
use crate::testkit;
use crate::webhook::Reachable;

const START: UnixMillis = UnixMillis(1_800_000_000_000);
/// The receivers of tests are on this machine.
const HERE: Reachable = Reachable {
    private: false,
    loopback: true,
};
const HOUR: u64 = 3_600_000;

struct Office {
    hooks: Arc<Webhooks>,
    _dir: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        Self::patient(ATTEMPT)
    }

    /// Waits so long for an answer.
    fn patient(limit: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = RegistryConfig {
            nodes: testkit::nodes()
                .into_iter()
                .map(|node| (node, node.to_string()))
                .collect(),
            requesters: None,
            named_requesters: Default::default(),
            timings: Timings::default(),
            open_tasks: 1000,
            webhook_networks: HERE,
            approvers: Default::default(),
        };
        let store = Store::open(&dir.path().join("coordinator.redb")).unwrap();
        let registry = Arc::new(TaskRegistry::open(rules, store).unwrap());
        let keys = SigningKeys::open(&dir.path().join("webhook.keys"), START).unwrap();
        let mut hooks = Webhooks::open(registry.clone(), keys).unwrap();
        hooks.http = http(limit, &registry).unwrap();
        let hooks = Arc::new(hooks);
        Self { hooks, _dir: dir }
    }

    fn hook(&self, name: &str, url: &str) {
        let spec = serde_json::json!({"url": url, "types": ["task.accepted"]});
        let spec = serde_json::from_value(spec).unwrap();
        self.hooks.put(name, spec, START).unwrap();
    }

    /// An event, by a task that waits for its nodes.
    async fn event(&self, id: u8, now: UnixMillis) {
        let order = testkit::sign_task(&testkit::task(id, now, testkit::keygen()));
        let registry = &self.hooks.registry;
        let submitted = registry.submit(order, None, now).unwrap();
        registry.store().durable(submitted.ticket).await.unwrap();
    }

    fn due(&self, now: UnixMillis, free: usize) -> Vec<Job> {
        while self.hooks.take_up(now).unwrap() {}
        let due = self.hooks.due(now, free);
        assert!(due.lost.is_empty());
        due.jobs
    }

    fn ended(&self, job: &Job, now: UnixMillis, error: Option<&str>) {
        let attempt = Attempt {
            at: now,
            status: None,
            error: error.map(str::to_owned),
            millis: 0,
        };
        let done = Done {
            name: job.name.clone(),
            place: job.place,
            attempt,
            retry_after: None,
        };
        self.hooks.record(done, now).unwrap();
    }

    async fn attempt(&self, url: &str) -> Done {
        let name: String = url
            .chars()
            .filter(char::is_ascii_lowercase)
            .take(20)
            .collect();
        self.hook(&name, url);
        self.hooks.test(&name, START).unwrap();
        let mut jobs = self.due(START, IN_FLIGHT_OF_ALL);
        jobs.retain(|job| job.name == name);
        self.hooks.attempt(jobs.pop().unwrap()).await
    }
}

#[tokio::test]
async fn receivers_that_hang_leave_a_place_for_every_other() {
    let office = Office::open();
    let names: Vec<String> = (0..MAX_WEBHOOKS)
        .map(|number| format!("r{number}"))
        .collect();
    for name in &names {
        office.hook(name, "https://example.com/");
    }
    for id in 0..20 {
        office.event(id, START).await;
    }
    let jobs = office.due(START, IN_FLIGHT_OF_ALL);
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    for job in &jobs {
        *of.entry(job.name.as_str()).or_default() += 1;
    }
    assert_eq!(of.len(), MAX_WEBHOOKS, "{of:?}");
    assert!(of.values().all(|own| *own <= IN_FLIGHT), "{of:?}");
    assert!(jobs.len() <= IN_FLIGHT_OF_ALL + MAX_WEBHOOKS);
    // The last one answers, and has its next event at once; the others hang on.
    let last = names.iter().max().unwrap();
    let answered = jobs.iter().find(|job| &job.name == last).unwrap();
    office.ended(answered, START, None);
    let again = office.due(START, 0);
    assert_eq!(again.len(), 1);
    assert_eq!(&again[0].name, last);
}

#[tokio::test]
async fn a_receiver_that_is_down_for_an_hour_misses_nothing_and_delays_no_other() {
    let office = Office::open();
    office.hook("down", "https://down.example/");
    office.hook("up", "https://up.example/");
    let mut now = START;
    let mut failed: BTreeMap<String, usize> = BTreeMap::new();
    let mut delivered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut next_event = 0;
    while now.0 < START.0 + 3 * HOUR {
        // One each ten minutes, for an hour and a half.
        if now.0 >= START.0 + u64::from(next_event) * HOUR / 6 && next_event < 9 {
            office.event(next_event, now).await;
            next_event += 1;
        }
        for job in office.due(now, IN_FLIGHT_OF_ALL) {
            let event = job.event.id.clone();
            if job.name == "down" && now.0 < START.0 + HOUR {
                *failed.entry(event).or_default() += 1;
                office.ended(&job, now, Some("connection refused"));
            } else {
                let late = now.0 - job.event.at.0;
                assert!(job.name == "down" || late == 0, "{event} is {late} ms late");
                delivered.entry(job.name.clone()).or_default().push(event);
                office.ended(&job, now, None);
            }
        }
        now.0 += 1_000;
    }
    let feed = office
        .hooks
        .store()
        .events(None, &EventFilter::default(), CHUNK);
    let feed = feed.unwrap();
    let accepted = feed
        .events
        .iter()
        .filter(|(_, event)| event.kind == EventKind::TaskAccepted);
    let mut told: Vec<String> = accepted.map(|(_, event)| event.id.clone()).collect();
    assert_eq!((told.len(), &delivered["up"]), (9, &told));
    // 5 s, 30 s, 2 min, 10 min and 30 min after the first attempt, and then an hour.
    assert_eq!(failed[&told[0]], 6);
    let mut got = delivered["down"].clone();
    got.sort();
    told.sort();
    assert_eq!(got, told, "each once");
    assert!(
        office
            .hooks
            .lock()
            .values()
            .all(|hook| hook.waiting.is_empty())
    );
}

/// Answers each connection with what the script says, after a head has come in.
async fn receiver<F: Future<Output = ()> + Send>(
    script: impl Fn(TcpStream) -> F + Copy + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            drop(stream.read(&mut head).await);
            script(stream).await;
        }
    });
    format!("http://{address}")
}

async fn says(mut stream: TcpStream, head: &str) -> TcpStream {
    drop(stream.write_all(head.as_bytes()).await);
    stream
}

/// Sends until the reader closes.
async fn on_and_on(stream: TcpStream, head: &str, piece: &str) {
    let mut stream = says(stream, head).await;
    while stream.write_all(piece.as_bytes()).await.is_ok() {}
}

#[tokio::test]
async fn only_an_answer_of_success_delivers() {
    let office = Office::open();
    let refused = receiver(|stream| async move {
        drop(
            says(
                stream,
                "HTTP/1.1 500 No\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n",
            )
            .await,
        );
    });
    let done = office.attempt(&(refused.await + "/error")).await;
    assert_eq!(
        (done.attempt.status, done.retry_after),
        (Some(500), Some(Duration::from_secs(60)))
    );
    let elsewhere = receiver(|stream| async move {
        let head = "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        drop(says(stream, head).await);
    });
    let done = office.attempt(&(elsewhere.await + "/redirect")).await;
    assert_eq!(done.attempt.status, Some(307), "it is not followed");
    assert!(done.attempt.error.is_some());
    let closed = receiver(|stream| async move { drop(stream) });
    let done = office.attempt(&(closed.await + "/closed")).await;
    assert!(done.attempt.status.is_none() && done.attempt.error.is_some());
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let office = Office::open();
    for (path, head, delivered) in [
        (
            "/endless",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            true,
        ),
        (
            "/bad",
            "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n",
            false,
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let talking = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 4096]).await);
            on_and_on(stream, head, "5\r\nhello\r\n").await;
        });
        let done = office.attempt(&url).await;
        assert_eq!(
            done.attempt.error.is_none(),
            delivered,
            "{:?}",
            done.attempt
        );
        // The connection is closed rather than drained.
        talking.await.unwrap();
    }
    let heads = receiver(|stream| on_and_on(stream, "HTTP/1.1 200 OK\r\n", "x: y\r\n"));
    let done = office.attempt(&(heads.await + "/heads")).await;
    assert!(done.attempt.error.is_some(), "{:?}", done.attempt);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_as_long_as_is_said() {
    let office = Office::patient(Duration::from_millis(50));
    let silent = receiver(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    let done = office.attempt(&(silent + "/silent")).await;
    let error = done.attempt.error.unwrap();
    assert_eq!(
        (done.attempt.status, error.as_str()),
        (None, "no answer within 15 s")
    );
}

#[tokio::test]
async fn nothing_is_sent_into_a_network_that_was_closed_meanwhile() {
    let office = Office::open();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (name, host) in [("address", "127.0.0.1"), ("name", "localhost")] {
        office.hook(name, &format!("http://{host}:{port}/"));
        office.hooks.test(name, START).unwrap();
    }
    // A name that is not this machine's own is looked up when it is used.
    let mut jobs = office.due(START, IN_FLIGHT_OF_ALL);
    let mut rules = (*office.hooks.registry.rules()).clone();
    rules.webhook_networks = Reachable::default();
    office.hooks.registry.set_rules(rules);
    assert_eq!(jobs.len(), 2);
    for job in jobs.drain(..) {
        let done = office.hooks.attempt(job).await;
        let error = done.attempt.error.unwrap();
        assert!(error.contains("webhook_networks: [loopback]"), "{error}");
    }
    let refused = office
        .hooks
        .http
        .post(format!("https://localhost:{port}/"))
        .send();
    let error = cause(&refused.await.unwrap_err());
    assert!(error.contains("webhook_networks: [loopback]"), "{error}");
    let accepted = futures_util::poll!(Box::pin(listener.accept()));
    assert!(accepted.is_pending(), "somebody connected");
}
