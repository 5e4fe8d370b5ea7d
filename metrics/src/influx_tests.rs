//! Pushes to fake servers, and to a real InfluxDB.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Password;
use crate::count::Histogram;
use crate::table::{Label, Metric};
use crate::text::tests::{TABLE, settings, sheet};
use crate::text::text;

const NOW: u64 = 1_700_000_000_123;

const TAKEN: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

fn file(dir: &Path, text: &str, mode: u32) -> PathBuf {
    let file = dir.join("credential");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    file
}

fn pusher(address: &str, into: InfluxInto) -> Pusher {
    let influx = Influx {
        every: Duration::from_millis(5),
        ..influx(&format!("http://{address}/"), into)
    };
    made(influx).unwrap()
}

fn made(influx: Influx) -> Result<Pusher, PushError> {
    let settings = Settings {
        influx: Some(influx),
        ..Settings::default()
    };
    Pusher::new(TABLE, &settings, None).map(|pusher| pusher.expect("an InfluxDB is named"))
}

fn database() -> InfluxInto {
    InfluxInto::Database {
        name: "tss metrics".into(),
        user: None,
    }
}

/// A server that reads one whole request, returns this answer, and passes on the request.
async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move { answered(&listener, answer).await });
    (address, served)
}

/// Reads one whole request, and answers it.
async fn answered(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let length = text
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if length
            .zip(body)
            .is_some_and(|(length, body): (usize, usize)| body >= length)
        {
            break;
        }
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the request is cut");
        request.extend_from_slice(&piece[..read]);
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn version_1_is_given_a_database_and_version_2_a_bucket_each_with_its_credential() {
    let dir = tempfile::tempdir().unwrap();
    let secret = file(dir.path(), "s3cret\n", 0o600);
    let (address, served) = server(TAKEN).await;
    let user = Some(("node".to_owned(), Secret::File(secret.clone())));
    let old = pusher(
        &address,
        InfluxInto::Database {
            name: "tss metrics".into(),
            user,
        },
    );
    let samples = old.push(&sheet(), NOW).await.unwrap();
    let request = served.await.unwrap();
    assert!(
        request.starts_with("POST /write?db=tss+metrics&precision=ms HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Basic bm9kZTpzM2NyZXQ=\r\n"),
        "{request}"
    );
    let body = request.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.lines().count(), samples);
    assert!(
        body.lines().any(|line| line == "up value=1 1700000000123"),
        "{body}"
    );
    let (address, served) = server(TAKEN).await;
    let new = pusher(
        &address,
        InfluxInto::Bucket {
            org: "a&b".into(),
            name: "tss".into(),
            token: secret.clone(),
        },
    );
    new.push(&sheet(), NOW).await.unwrap();
    let request = served.await.unwrap();
    assert!(
        request.starts_with("POST /api/v2/write?org=a%26b&bucket=tss&precision=ms HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Token s3cret\r\n"),
        "{request}"
    );
    // A credential is read again for each push, so it can be changed while the node runs.
    std::fs::write(&secret, "an\nother").unwrap();
    assert!(matches!(
        new.push(&sheet(), NOW).await,
        Err(PushError::Unfit { .. })
    ));
}

#[tokio::test]
async fn who_refuses_or_leads_elsewhere_is_told_apart_and_its_words_are_not_repeated() {
    for (answer, status) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\n\r\ncanary!",
            401,
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            302,
        ),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", 503),
    ] {
        let (address, _served) = server(answer).await;
        let error = pusher(&address, database())
            .push(&sheet(), NOW)
            .await
            .unwrap_err();
        assert!(
            matches!(error, PushError::Refused { status: said, .. } if said == status),
            "{error}"
        );
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let (address, _served) = server("HTTP/1.1 400 Bad\r\ncontent-length: 99999999\r\n\r\n").await;
    let endless = pusher(&address, database()).push(&sheet(), NOW).await;
    assert!(matches!(
        endless,
        Err(PushError::Refused { status: 400, .. })
    ));
}

#[test]
fn a_credential_that_others_may_read_or_that_is_none_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str, mode| {
        let token = file(dir.path(), text, mode);
        let into = InfluxInto::Bucket {
            org: "o".into(),
            name: "b".into(),
            token,
        };
        let made = made(influx("http://127.0.0.1:1/", into));
        made.err().map(|error| error.to_string())
    };
    assert_eq!(refused("token", 0o600), None);
    assert!(refused("token", 0o640).unwrap().contains("chmod 600"));
    for text in ["", " \n", "two\nlines", "caf\u{e9}"] {
        assert!(
            refused(text, 0o600).unwrap().contains("write it again"),
            "{text:?}"
        );
    }
}

/// The node's own work continues: a push is a single waiting task, and each snapshot that fails
/// is counted and dropped.
#[tokio::test]
async fn a_server_that_is_gone_is_tried_again_and_ends_with_the_node() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (told, mut counted) = tokio::sync::mpsc::channel(16);
    let stop = CancellationToken::new();
    let report = || Report {
        sheet: sheet(),
        not_ready: Vec::new(),
    };
    let look: Look = Arc::new(move || Box::pin(async move { report() }));
    let count = move |written| {
        // The first few are enough.
        let _ = told.try_send(written);
    };
    let following = tokio::spawn(follow(
        pusher(&address, database()),
        look.clone(),
        count,
        stop.clone(),
    ));
    for _ in 0..3 {
        assert_eq!(counted.recv().await, Some(false));
    }
    stop.cancel();
    following.await.unwrap();
    // A server that accepts the request and never answers only delays its own snapshot.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let following = tokio::spawn(follow(
        pusher(&address, database()),
        look,
        |_| {},
        stop.clone(),
    ));
    let _kept = silent.accept().await.unwrap();
    stop.cancel();
    following.await.unwrap();
}

/// As if the disk did not answer: the push would never be counted again.
#[tokio::test]
async fn a_report_that_does_not_come_in_time_counts_as_failed() {
    let (address, _served) = server(TAKEN).await;
    let (told, mut counted) = tokio::sync::mpsc::channel(16);
    let stop = CancellationToken::new();
    let count = move |written| {
        let _ = told.try_send(written);
    };
    let following = tokio::spawn(follow_within(
        Duration::from_millis(5),
        pusher(&address, database()),
        Arc::new(|| Box::pin(std::future::pending())),
        count,
        stop.clone(),
    ));
    for _ in 0..2 {
        assert_eq!(counted.recv().await, Some(false));
    }
    stop.cancel();
    following.await.unwrap();
}

#[test]
fn the_log_says_that_it_fails_once_an_hour_and_when_it_is_over() {
    let mut trouble = Trouble::default();
    let start = Instant::now();
    let error = PushError::Refused {
        status: 404,
        advice: "create it",
    };
    let why = error.to_string();
    let mut note =
        |error, minutes: u64| trouble.note(error, start + Duration::from_secs(60 * minutes));
    assert_eq!(note(None, 0), Say::Nothing);
    assert_eq!(
        note(Some(&error), 1),
        Say::Fails {
            times: 1,
            why: why.clone()
        }
    );
    assert_eq!(note(Some(&error), 2), Say::Nothing);
    assert_eq!(
        note(Some(&error), 61),
        Say::Fails {
            times: 3,
            why: why.clone()
        }
    );
    assert_eq!(note(Some(&error), 62), Say::Nothing);
    assert_eq!(note(None, 63), Say::Well { times: 4 });
    assert_eq!(note(None, 64), Say::Nothing);
    assert_eq!(note(Some(&error), 65), Say::Fails { times: 1, why });
}

fn influx(server: &str, into: InfluxInto) -> Influx {
    Influx {
        server: server.parse().unwrap(),
        into,
        every: Duration::from_secs(1),
    }
}

fn bucket(token: PathBuf) -> InfluxInto {
    InfluxInto::Bucket {
        org: "o".into(),
        name: "b".into(),
        token,
    }
}

#[test]
fn lines_go_below_the_path_of_the_server_and_names_are_encoded() {
    let odd = InfluxInto::Database {
        name: "a&db=b#c".into(),
        user: None,
    };
    let into = place(&influx("https://influx.example/base/", odd));
    assert_eq!(
        into.as_str(),
        "https://influx.example/base/write?db=a%26db%3Db%23c&precision=ms"
    );
    let into = place(&influx("https://influx.example/base/", bucket("t".into())));
    assert_eq!(into.path(), "/base/api/v2/write");
}

#[test]
fn a_credential_is_one_line_of_at_most_4_kib() {
    let dir = tempfile::tempdir().unwrap();
    let length = |bytes: usize| {
        let text = "x".repeat(bytes);
        credential(&file(dir.path(), &text, 0o600)).map(|line| line.len())
    };
    assert_eq!(length(4 << 10).unwrap(), 4 << 10);
    assert!(matches!(
        length((4 << 10) + 1),
        Err(PushError::Credential { .. })
    ));
}

#[test]
fn a_credential_that_is_not_there_is_refused_with_its_path() {
    let into = bucket("/nowhere/token".into());
    let error = made(influx("http://127.0.0.1:1/", into)).err();
    let error = error.expect("refused").to_string();
    assert!(
        error.contains("/nowhere/token") && error.ends_with("correct the file"),
        "{error}"
    );
}

#[test]
fn a_password_in_the_configuration_is_sent_as_it_stands_and_a_database_may_do_without() {
    let authorization = |user| {
        let into = InfluxInto::Database {
            name: "tss".into(),
            user,
        };
        let pusher = made(influx("http://127.0.0.1:1/", into));
        pusher.unwrap().authorization().unwrap()
    };
    assert!(authorization(None).is_none());
    let password = Secret::Here(Password::from(" p:w ".to_owned()));
    let sent = authorization(Some(("node".into(), password))).unwrap();
    let expected = format!("Basic {}", STANDARD.encode("node: p:w "));
    assert_eq!(sent.to_str().unwrap(), expected);
    assert!(!format!("{sent:?}").contains("Basic"), "never shown");
}

#[test]
fn authorities_that_cannot_be_used_keep_the_pushing_from_starting() {
    let settings = Settings {
        influx: Some(influx("http://127.0.0.1:1/", database())),
        ..Settings::default()
    };
    let refused = |file: &Path| {
        let made = Pusher::new(TABLE, &settings, Some(file));
        made.expect_err("refused").to_string()
    };
    let told = refused(Path::new("/nowhere/ca.pem"));
    assert!(
        told.contains("policy.ca_file, /nowhere/ca.pem, cannot be read"),
        "{told}"
    );
    let dir = tempfile::tempdir().unwrap();
    let told = refused(&file(dir.path(), "no certificate", 0o644));
    assert!(told.ends_with("export the authority as PEM"), "{told}");
    let none = Pusher::new(TABLE, &Settings::default(), None).unwrap();
    assert!(none.is_none());
}

#[test]
fn every_refusal_of_a_server_has_its_advice() {
    let told: Vec<_> = [302, 400, 401, 404, 413, 429].map(advice).to_vec();
    let distinct: std::collections::BTreeSet<_> = told.iter().collect();
    assert_eq!(distinct.len(), told.len());
    assert_eq!(advice(401), advice(403));
    assert_eq!(advice(429), advice(503));
    assert_eq!(advice(500), "see its log");
    assert!(advice(302).contains("redirects are not followed"));
}

/// A thousand names make more lines than a server is to be given at once.
#[tokio::test]
async fn a_large_report_is_sent_in_batches_and_cut_at_its_limit() {
    const WHO: &[Label] = &[Label::named("who")];
    static ONE: Metric = Metric::histogram("one_seconds", "", "").by(WHO);
    static TWO: Metric = Metric::histogram("two_seconds", "", "").by(WHO);
    const LARGE: &Table = &[("All", &[&ONE, &TWO])];
    let mut large = Sheet::default();
    for number in 0..1_000 {
        large.put(&ONE, [&number.to_string()], Histogram::default());
        large.put(&TWO, [&number.to_string()], Histogram::default());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move {
        let mut lines = Vec::new();
        for _ in 0..MOST / BATCH {
            let request = answered(&listener, TAKEN).await;
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            lines.push(body.lines().count());
        }
        lines
    });
    let pusher = Pusher {
        table: LARGE,
        ..pusher(&address, database())
    };
    assert_eq!(pusher.push(&large, NOW).await.unwrap(), MOST);
    assert_eq!(served.await.unwrap(), [BATCH; MOST / BATCH]);
}

/// A local InfluxDB 1 with user accounts.
struct Influxd {
    process: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Influxd {
    /// Returns `None`, with a message, if it is not installed; an error where the
    /// tests must be complete.
    async fn start() -> Option<Self> {
        if Command::new("influxd")
            .arg("version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            assert!(
                std::env::var_os("CI").is_none(),
                "install Debian's package influxdb: `./run test` does"
            );
            eprintln!(
                "SKIPPED: the program `influxd` is not installed (Debian's package influxdb)"
            );
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let free = || {
            std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .to_string()
        };
        let address = free();
        let rpc = free();
        let place = dir.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"{rpc}\"\n[meta]\ndir = \"{place}/meta\"\n\
             [data]\ndir = \"{place}/data\"\nwal-dir = \"{place}/wal\"\n[monitor]\nstore-enabled = false\n\
             [http]\nenabled = true\nbind-address = \"{address}\"\nauth-enabled = true\nlog-enabled = false\n"
        );
        let file = dir.path().join("influxdb.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("influxd");
        command
            .arg("run")
            .arg("-config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let influxd = Self {
            process,
            address,
            _dir: dir,
        };
        while influxd.send("GET", "/ping", "").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for query in [
            "CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES",
            "CREATE DATABASE tss",
            "CREATE USER node WITH PASSWORD 's3cret'",
            "GRANT WRITE ON tss TO node",
        ] {
            influxd.query("POST", query).await;
        }
        Some(influxd)
    }

    async fn send(&self, method: &str, path: &str, query: &str) -> reqwest::Result<Answer> {
        let mut url: Url = format!("http://{}{path}", self.address).parse().unwrap();
        url.query_pairs_mut()
            .append_pair("db", "tss")
            .append_pair("epoch", "ms")
            .append_pair("q", query);
        let method = method.parse().unwrap();
        let request = client(None).unwrap().request(method, url);
        let answer = request.basic_auth("admin", Some("admin")).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await?.to_vec()))
    }

    async fn query(&self, method: &str, query: &str) -> serde_json::Value {
        let (status, body) = self.send(method, "/query", query).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(
            status == 200 && body["results"][0].get("error").is_none(),
            "{query}: {body}"
        );
        body["results"][0]["series"].clone()
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Status and body.
type Answer = (u16, Vec<u8>);

/// A series: its name, and its labels without the empty ones.
type Series = (String, BTreeMap<String, String>);

/// Parses the output of `/metrics` independently.
fn shown(settings: &Settings) -> BTreeMap<Series, f64> {
    let text = text(TABLE, &sheet(), settings);
    let samples = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels
                .trim_end_matches('}')
                .split("\",")
                .filter(|label| !label.is_empty());
            let pairs = labels.map(|label| label.split_once("=\"").unwrap());
            let pairs = pairs
                .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
            (
                (
                    name.to_owned(),
                    pairs.filter(|(_, value)| !value.is_empty()).collect(),
                ),
                value.parse().unwrap(),
            )
        });
    samples.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_influxdb_gives_back_what_metrics_show() {
    let Some(influxd) = Influxd::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let password = Secret::File(file(dir.path(), "s3cret\n", 0o600));
    let server = format!("http://{}/", influxd.address);
    let of = |into| Settings {
        labels: vec![("job".into(), "tss node, one=1".into())],
        influx: Some(influx(&server, into)),
        ..settings()
    };
    let made = |into| Pusher::new(TABLE, &of(into), None).unwrap().unwrap();
    let into = InfluxInto::Database {
        name: "tss".into(),
        user: Some(("node".into(), password)),
    };
    let pushed = made(into.clone()).push(&sheet(), NOW).await.unwrap();
    let series = influxd
        .query("GET", "SELECT value FROM /.*/ GROUP BY *")
        .await;
    let mut found = BTreeMap::new();
    for series in series.as_array().unwrap() {
        let tags = series["tags"].as_object().unwrap().iter();
        let tags = tags.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let tags = tags.filter(|(_, value)| !value.is_empty()).collect();
        let [row] = &series["values"].as_array().unwrap()[..] else {
            panic!("one value: {series}")
        };
        assert_eq!(row[0].as_u64(), Some(NOW));
        found.insert(
            (series["name"].as_str().unwrap().to_owned(), tags),
            row[1].as_f64().unwrap(),
        );
    }
    let shown = shown(&of(into));
    assert_eq!(found, shown);
    assert_eq!(pushed, shown.len());
    let refused = |into| {
        let pusher = made(into);
        async move { pusher.push(&sheet(), NOW).await.unwrap_err() }
    };
    let stranger = Some((
        "node".to_owned(),
        Secret::File(file(dir.path(), "wrong", 0o600)),
    ));
    let error = refused(InfluxInto::Database {
        name: "tss".into(),
        user: stranger,
    })
    .await;
    assert!(
        matches!(error, PushError::Refused { status: 401, .. }),
        "{error}"
    );
    let admin = Some((
        "admin".to_owned(),
        Secret::File(file(dir.path(), "admin", 0o600)),
    ));
    let error = refused(InfluxInto::Database {
        name: "none".into(),
        user: admin,
    })
    .await;
    assert!(
        matches!(error, PushError::Refused { status: 404, .. }),
        "{error}"
    );
}
