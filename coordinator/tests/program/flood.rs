//! Ten thousand orders at once. Each is taken or refused, and none is forgotten; memory is bounded.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Running, submission_numbered};

const CONNECTIONS: u16 = 50;
const OF_EACH: u16 = 200;
/// By how much the process may grow, as `docs/coordinator.md` says.
const GROWTH_KIB: u64 = 64 * 1024;
/// Long enough that no task ends while others are handed in, so that places run out.
const LIFE_MS: u64 = 8_000;

#[test]
fn ten_thousand_orders_at_once_are_each_answered_within_a_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Running::start(dir.path(), |command| command.stderr(Stdio::null()));
    let before = peak_kib(&coordinator);
    let http = coordinator.http;
    let key = coordinator.key.clone();
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|caller| {
            let key = key.clone();
            std::thread::spawn(move || call(http, &key, caller))
        })
        .collect();
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut accepted = Vec::new();
    let mut times = Vec::new();
    for caller in callers {
        for (id, answer) in caller.join().unwrap() {
            *statuses.entry(answer.status).or_default() += 1;
            times.push(answer.took);
            match answer.status {
                201 => accepted.push(id),
                429 | 503 => assert!(answer.retry_after, "{}", answer.body),
                _ => panic!("{}: {}", answer.status, answer.body),
            }
        }
    }
    let grown = peak_kib(&coordinator) - before;
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    eprintln!(
        "{statuses:?}; an answer took {:?} (median), {:?} (99 %); the process grew by {grown} KiB",
        at(50),
        at(99)
    );
    assert!(grown < GROWTH_KIB, "by {grown} KiB");
    assert!(
        statuses.contains_key(&201) && statuses.len() > 1,
        "{statuses:?}"
    );
    accepted.sort();
    assert_eq!(ended(&coordinator), accepted);
    assert_eq!(last_words(&coordinator), accepted);
    let (status, _) = coordinator.ask("GET", "/ready", "");
    assert_eq!(status, 200);
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: String,
    took: Duration,
}

/// Hands in tasks over one connection, one after the other. Returns their ids and the answers.
fn call(http: SocketAddr, key: &str, caller: u16) -> Vec<(String, Answer)> {
    let stream = TcpStream::connect(http).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut answers = Vec::new();
    for number in 0..OF_EACH {
        let (id, body) = submission_numbered(u32::from(caller) << 16 | u32::from(number), LIFE_MS);
        let body = body.to_string();
        let head = format!(
            "POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let asked = Instant::now();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = answer(&mut reader);
        answer.took = asked.elapsed();
        answers.push((id, answer));
    }
    answers
}

fn answer(reader: &mut BufReader<TcpStream>) -> Answer {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        assert!(
            reader.read_line(&mut line).unwrap() > 0,
            "it hung up: {head:?}"
        );
        if line == "\r\n" {
            break;
        }
        head.push(line.to_lowercase());
    }
    let value = |name: &str| {
        let line = head.iter().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let length = value("content-length:").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Answer {
        status: head[0].split(' ').nth(1).unwrap().parse().unwrap(),
        retry_after: value("retry-after:").is_some(),
        body: String::from_utf8(body).unwrap(),
        took: Duration::ZERO,
    }
}

/// The ids of all tasks, once each has ended.
fn ended(coordinator: &Running) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let tasks = pages(coordinator, "/v1/tasks?limit=200", "cursor", "tasks");
        if tasks.iter().all(|task| task["state"] == "expired") {
            let mut ids: Vec<String> = tasks.iter().map(|task| text(&task["id"])).collect();
            ids.sort();
            return ids;
        }
        assert!(Instant::now() < until, "{} tasks do not end", tasks.len());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The ids of the tasks in the events that tell of an end, each as often as it is told.
fn last_words(coordinator: &Running) -> Vec<String> {
    let path = "/v1/events?limit=200&type=task.expired,task.failed,task.completed,task.rejected,task.cancelled";
    let events = pages(coordinator, path, "after", "events");
    let mut ids: Vec<String> = events
        .iter()
        .map(|event| text(&event["data"]["task"]["id"]))
        .collect();
    ids.sort();
    ids
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All entries of a list, page by page, until there is no next page, or it is the same.
fn pages(coordinator: &Running, path: &str, cursor: &str, list: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let from = next
            .as_ref()
            .map_or(String::new(), |next| format!("&{cursor}={next}"));
        let (status, page) = coordinator.ask("GET", &format!("{path}{from}"), "");
        assert_eq!(status, 200, "{page}");
        all.extend(page[list].as_array().unwrap().clone());
        let following = page["next"].as_str().map(str::to_owned);
        if following.is_none() || following == next {
            return all;
        }
        next = following;
    }
}

/// The largest resident size of the process so far.
fn peak_kib(coordinator: &Running) -> u64 {
    let path = format!("/proc/{}/status", coordinator.process.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
