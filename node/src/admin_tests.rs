//! Questions on the admin socket, and their answers from a journal alone.

use countersign_protocol::{FailureCode, PluginVerdict, UnixMillis};

use super::*;
use crate::past_decisions::{KeptRecording, PastDecision};
use crate::reload::{ContactsRequest, TakeUpError, TakenUp};
use crate::test_node::{self, NOW, TestNode, empty_journal, key_record, node, private_dir};

fn put(journal: &Journal, question: Question) -> Answer {
    answer(journal, &question).unwrap()
}

fn key(seed: u8) -> KeyId {
    test_node::key(seed)
}

fn quarantine(seed: u8, peer: NodeId) -> Quarantine {
    Quarantine {
        key: key(seed),
        peer,
        task: TaskId([1; 16]),
        since: NOW,
        code: FailureCode::PeerAborted,
        text: "t".into(),
        evidence: None,
    }
}

fn proof() -> GenerationProof {
    GenerationProof {
        descriptor: key_record(1, 1).descriptor,
        in_force: Vec::new(),
    }
}

/// Sends a line to the node as its command line does.
async fn ask_with(node: &TestNode, line: &[u8]) -> Answer {
    let (mut client, server) = UnixStream::pair().unwrap();
    client.write_all(line).await.unwrap();
    reply(&node.parts, server).await.unwrap();
    let mut answer = Vec::new();
    // A question that was not read to its end resets the connection behind the answer.
    drop(client.read_to_end(&mut answer).await);
    serde_json::from_slice(&answer).unwrap()
}

async fn ask_node_with(node: &TestNode, question: &Question) -> Answer {
    let mut line = serde_json::to_vec(question).unwrap();
    line.push(b'\n');
    ask_with(node, &line).await
}

/// The command line may be newer or older than the running node.
#[test]
fn questions_keep_their_names_on_the_socket() {
    let key = key(1);
    for (question, text) in [
        (Question::Plugins, "\"plugins\"".to_owned()),
        (Question::StageBackup, "\"stage-backup\"".to_owned()),
        (
            Question::Note(Care::Drill),
            "{\"note\":\"drill\"}".to_owned(),
        ),
        (Question::VerifyAudit, "\"verify-audit\"".to_owned()),
        (Question::LiftTwin, "\"lift-twin\"".to_owned()),
        (Question::TakeContacts, "\"take-contacts\"".to_owned()),
        (
            Question::SignAudit {
                from: UnixMillis(1),
                to: UnixMillis(2),
            },
            "{\"sign-audit\":{\"from\":1,\"to\":2}}".to_owned(),
        ),
        (
            Question::TakeBundle("/b".into()),
            "{\"take-bundle\":\"/b\"}".to_owned(),
        ),
        (Question::RollBackBundle, "\"roll-back-bundle\"".to_owned()),
        (Question::WithdrawBundle, "\"withdraw-bundle\"".to_owned()),
        (Question::Bundles, "\"bundles\"".to_owned()),
        (
            Question::PreparedReshares,
            "\"prepared-reshares\"".to_owned(),
        ),
        (
            Question::PastDecisions {
                plugin: "rules".into(),
                since: UnixMillis(5),
                from: 0,
            },
            "{\"past-decisions\":{\"plugin\":\"rules\",\"since\":5,\"from\":0}}".to_owned(),
        ),
        (Question::Differences(3), "{\"differences\":3}".to_owned()),
        (Question::Key(key), format!("{{\"key\":\"{key}\"}}")),
        (
            Question::Lift { key, peer: None },
            format!("{{\"lift\":{{\"key\":\"{key}\",\"peer\":null}}}}"),
        ),
    ] {
        assert_eq!(serde_json::to_string(&question).unwrap(), text);
        assert_eq!(serde_json::from_str::<Question>(&text).unwrap(), question);
    }
}

#[test]
fn a_recording_survives_the_socket_byte_for_byte() {
    let recording = TaskRecording {
        entry: 3,
        vouched: true,
        configurations: [(Hash([1; 32]), "c".to_owned())].into(),
        recording: vec![0, 255],
        task: vec![7],
    };
    let answer = Answer::Recording(Some(recording));
    let text = serde_json::to_string(&answer).unwrap();
    assert!(text.contains("\"00ff\""), "{text}");
    assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
}

#[test]
fn past_decisions_survive_the_socket_byte_for_byte() {
    let verdict = PluginVerdict {
        plugin: "rules".into(),
        version: "1.0.0".into(),
        digest: Hash([1; 32]),
        config: Hash([2; 32]),
        approved: false,
        code: "limit".into(),
        reason: "too much".into(),
        micros: 3,
    };
    let past = |recording| PastDecision {
        task: TaskId([4; 16]),
        received_at: NOW,
        verdict: verdict.clone(),
        bytes: vec![0, 254],
        recording,
    };
    let answer = Answer::PastDecisions(PastDecisions {
        decisions: vec![
            past(KeptRecording::Whole(vec![0, 255])),
            past(KeptRecording::Unvouched),
            past(KeptRecording::Changed),
            past(KeptRecording::Dropped),
        ],
        not_asked: 5,
        gap: true,
        next: Some(6),
        recordings: 7,
    });
    let text = serde_json::to_string(&answer).unwrap();
    assert!(
        text.contains("\"00ff\"") && text.contains("\"00fe\""),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
}

#[test]
fn only_a_running_node_tells_about_plugins_copies_its_files_drains_and_learns() {
    let (_dir, journal) = empty_journal();
    for question in [
        Question::Plugins,
        Question::StageBackup,
        Question::Drain(Some(true)),
        Question::TakeContacts,
        Question::TakeBundle("/b".into()),
        Question::RollBackBundle,
        Question::WithdrawBundle,
        Question::Bundles,
        Question::Overview,
        Question::Learn(Box::new(proof())),
        Question::AuditRecords(vec![TaskId([1; 16])]),
        Question::SignAudit {
            from: UnixMillis(0),
            to: NOW,
        },
    ] {
        let Answer::Failed(why) = put(&journal, question) else {
            panic!("answered from the journal")
        };
        assert!(why.starts_with("no node is running here"), "{why}");
    }
    assert!(journal.keys().unwrap().is_empty(), "nothing was learnt");
}

#[test]
fn an_unknown_key_has_an_empty_answer() {
    let (_dir, journal) = empty_journal();
    let record = key_record(1, 0);
    journal.put_key(record.clone()).unwrap();
    assert_eq!(
        put(&journal, Question::Key(key(1))),
        Answer::Keys(vec![record])
    );
    assert_eq!(
        put(&journal, Question::Key(key(2))),
        Answer::Keys(Vec::new())
    );
    assert_eq!(
        put(&journal, Question::Proof(key(2))),
        Answer::Proof(Vec::new())
    );
}

#[test]
fn keys_come_in_order_after_the_last_one_and_no_more_than_asked_for() {
    let (_dir, journal) = empty_journal();
    for seed in [3, 1, 2] {
        journal.put_key(key_record(seed, 0)).unwrap();
    }
    let listed = |after, most| match put(&journal, Question::Keys { after, most }) {
        Answer::Keys(keys) => keys.iter().map(KeyRecord::key).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(None, usize::MAX), [key(1), key(2), key(3)]);
    assert_eq!(listed(None, 2), [key(1), key(2)]);
    assert_eq!(listed(Some(key(2)), 2), [key(3)]);
    assert!(listed(Some(key(3)), 2).is_empty());
}

#[test]
fn a_key_has_moved_once_it_is_in_a_later_generation_than_its_first() {
    let (_dir, journal) = empty_journal();
    journal.put_key(key_record(1, 0)).unwrap();
    assert_eq!(put(&journal, Question::Moved), Answer::Moved(Vec::new()));
    journal.put_key(key_record(2, 1)).unwrap();
    let Answer::Moved(moved) = put(&journal, Question::Moved) else {
        panic!("another answer")
    };
    let keys: Vec<_> = moved.iter().map(|moved| moved.record.key()).collect();
    assert_eq!(keys, [key(2)]);
    assert!(moved[0].in_force.is_empty(), "no member has confirmed it");
}

#[test]
fn the_last_audit_entries_are_shown_unless_a_first_one_is_named() {
    let (_dir, journal) = empty_journal();
    let first = journal.audit_entries().unwrap();
    for text in ["a", "b", "c"] {
        journal.alarm(NOW, None, text).unwrap();
    }
    let texts = |from: Option<u64>, limit| match put(&journal, Question::Audit { from, limit }) {
        Answer::Audit(entries) => entries.iter().map(|entry| entry.text.clone()).collect(),
        other => panic!("{other:?}"),
    };
    let last: Vec<String> = texts(None, 2);
    assert_eq!(last, ["b", "c"]);
    assert_eq!(texts(Some(first), 2), ["a", "b"]);
    assert_eq!(texts(Some(first + 2), 9), ["c"]);
    assert_eq!(texts(None, u64::MAX).len() as u64, first + 3);
}

#[test]
fn the_head_of_an_intact_audit_log_counts_its_entries() {
    let (_dir, journal) = empty_journal();
    journal.alarm(NOW, None, "a").unwrap();
    let Answer::AuditHead(head) = put(&journal, Question::VerifyAudit) else {
        panic!("another answer")
    };
    assert_eq!(head.entries, journal.audit_entries().unwrap());
}

#[test]
fn a_quarantine_is_lifted_for_one_peer_and_one_key_and_once() {
    let (_dir, journal) = empty_journal();
    for seed in [1, 2] {
        journal.quarantine(quarantine(seed, node(2))).unwrap();
    }
    let lifted = |seed, peer| {
        let peer = Some(peer);
        let key = key(seed);
        put(&journal, Question::Lift { key, peer }) == Answer::Lifted(true)
    };
    assert!(!lifted(1, node(3)), "another peer");
    assert!(lifted(1, node(2)));
    assert!(!lifted(1, node(2)), "it is lifted already");
    let Answer::Quarantines { peers, keys } = put(&journal, Question::Quarantines) else {
        panic!("another answer")
    };
    assert_eq!((peers, keys), (vec![quarantine(2, node(2))], Vec::new()));
}

/// An operator who lifts a stop has not looked into what a peer did.
#[test]
fn lifting_the_stop_of_a_key_keeps_peers_in_quarantine() {
    let (_dir, journal) = empty_journal();
    journal.quarantine(quarantine(1, node(2))).unwrap();
    let key = key(1);
    let stop = Question::Lift { key, peer: None };
    assert_eq!(put(&journal, stop), Answer::Lifted(false));
    assert_eq!(journal.quarantines().unwrap().len(), 1);
}

#[test]
fn a_twin_is_lifted_once_and_only_if_there_was_one() {
    let (_dir, journal) = empty_journal();
    assert_eq!(put(&journal, Question::LiftTwin), Answer::Lifted(false));
    journal.twin(NOW).unwrap();
    assert_eq!(put(&journal, Question::LiftTwin), Answer::Lifted(true));
    assert_eq!(journal.twin_since().unwrap(), None);
    assert_eq!(put(&journal, Question::LiftTwin), Answer::Lifted(false));
}

#[test]
fn nothing_is_known_about_a_task_that_was_never_decided() {
    let (_dir, journal) = empty_journal();
    let task = TaskId([9; 16]);
    assert_eq!(
        put(&journal, Question::Recording(task)),
        Answer::Recording(None)
    );
    assert_eq!(
        put(&journal, Question::Differences(9)),
        Answer::Differences(Vec::new())
    );
    assert_eq!(
        put(&journal, Question::PreparedReshares),
        Answer::PreparedReshares(Vec::new())
    );
}

#[test]
fn without_a_node_the_journal_of_the_folder_is_read() {
    let (dir, journal) = empty_journal();
    journal.put_key(key_record(1, 0)).unwrap();
    drop(journal);
    assert_eq!(ask_running(dir.path(), &Question::Plugins).unwrap(), None);
    let answer = ask(dir.path(), &Question::Key(key(1))).unwrap();
    assert_eq!(answer, Answer::Keys(vec![key_record(1, 0)]));
    assert_eq!(keys(dir.path()).unwrap(), [key_record(1, 0)]);
}

#[test]
fn a_reason_not_to_answer_is_an_error_with_that_text() {
    let (dir, journal) = empty_journal();
    drop(journal);
    let error = ask(dir.path(), &Question::Plugins).unwrap_err();
    assert!(matches!(error, AskError::Told(_)), "{error:?}");
    assert_eq!(error.to_string(), "no node is running here; start it");
}

#[test]
fn a_folder_without_a_journal_is_an_error_at_once() {
    let dir = private_dir();
    let error = ask(dir.path(), &Question::Quarantines).unwrap_err();
    assert!(
        matches!(error, AskError::Open(JournalOpenError::Missing { .. })),
        "{error:?}"
    );
}

/// A node that breaks off is running: reading the journal behind its back would wait for its lock.
#[test]
fn a_node_that_gives_no_whole_answer_is_told_from_none() {
    for said in ["", "{\"keys\":[", "\"frobnicated\""] {
        let dir = private_dir();
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut client, _) = listener.accept().unwrap();
                let mut byte = [0];
                while client.read(&mut byte).unwrap() == 1 && byte != *b"\n" {}
                client.write_all(said.as_bytes()).unwrap();
            });
            ask(dir.path(), &Question::Plugins).unwrap_err()
        });
        assert!(matches!(error, AskError::Node(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("; try again, and check its log"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_node_refuses_what_it_does_not_understand() {
    let node = TestNode::build().await;
    let long = vec![b' '; QUESTION as usize + 9];
    for line in [
        &b"\"frobnicate\"\n"[..],
        b"\n",
        b"{\"key\":1}\n",
        b"",
        &long,
    ] {
        let shown = String::from_utf8_lossy(&line[..line.len().min(20)]);
        // The end of the stream ends a question too.
        let line = [line, b"\n"].concat();
        let answer = ask_with(&node, &line).await;
        assert!(matches!(answer, Answer::Failed(_)), "{shown}: {answer:?}");
    }
}

#[tokio::test]
async fn a_running_node_answers_from_its_journal_and_tells_its_plugins() {
    let node = TestNode::build().await;
    node.journal.put_key(key_record(1, 0)).unwrap();
    let answer = ask_node_with(&node, &Question::Key(key(1))).await;
    assert_eq!(answer, Answer::Keys(vec![key_record(1, 0)]));
    let plugins = Vec::new();
    let receivers = Vec::new();
    let expected = Answer::Plugins { plugins, receivers };
    assert_eq!(ask_node_with(&node, &Question::Plugins).await, expected);
    std::fs::remove_file(node.dir.path().join(public::FILE)).unwrap();
    let answer = ask_node_with(&node, &Question::Plugins).await;
    let Answer::Failed(why) = answer else {
        panic!("{answer:?}")
    };
    assert!(why.starts_with("public.json cannot be read: "), "{why}");
}

#[tokio::test]
async fn a_running_node_signs_its_own_log_and_nothing_that_it_is_handed() {
    let node = TestNode::build().await;
    node.journal.alarm(NOW, None, "t").unwrap();
    let entries = node.journal.audit_entries().unwrap();
    let from = UnixMillis(0);
    let to = UnixMillis(u64::MAX);
    let answer = ask_node_with(&node, &Question::SignAudit { from, to }).await;
    let Answer::SignedAudit(head) = answer else {
        panic!("{answer:?}")
    };
    let last = node.journal.audit(entries - 1, 1).unwrap().remove(0);
    assert!(head.verifies());
    assert_eq!(head.node, node.parts.participant.own.id());
    assert_eq!((head.entries, head.hash), (entries, last.hash));
    assert_eq!((head.first, head.log), (0, entries));
    let unknown = TaskId([1; 16]);
    let answer = ask_node_with(&node, &Question::AuditRecords(vec![unknown])).await;
    assert_eq!(
        answer,
        Answer::AuditRecords(vec![Exported::Unknown(unknown)])
    );
}

/// The journal forgets the twin, and the process must too, or it would refuse until a restart.
#[tokio::test]
async fn a_lifted_twin_is_forgotten_by_the_running_process() {
    let node = TestNode::build().await;
    let twins = &node.parts.twins;
    let own = &node.parts.participant.own;
    let mark =
        countersign_protocol::twin::TwinMark::sign(&own.id(), [1; 16], twins.instance(), own);
    assert!(twins.learn(&mark).await && twins.is_known());
    let key = key(1);
    let other = ask_node_with(&node, &Question::Lift { key, peer: None }).await;
    assert_eq!(other, Answer::Lifted(false));
    assert!(twins.is_known(), "nothing was said about the twin");
    let answer = ask_node_with(&node, &Question::LiftTwin).await;
    assert_eq!(answer, Answer::Lifted(true));
    assert!(!twins.is_known());
}

#[tokio::test]
async fn who_has_added_contacts_is_told_what_came_of_it() {
    let mut node = TestNode::build().await;
    let gone = ask_node_with(&node, &Question::TakeContacts).await;
    assert!(
        matches!(&gone, Answer::Failed(why) if why.contains("stopping")),
        "{gone:?}"
    );
    let (contacts, mut asked) = mpsc::channel::<ContactsRequest>(1);
    node.parts.contacts = contacts;
    let taken = TakenUp {
        live: vec!["roster".into()],
        held: vec!["requesters".into()],
    };
    let expected = taken.clone();
    let watch = tokio::spawn(async move {
        for result in [Ok(taken), Err(TakeUpError::NoFile)] {
            asked.recv().await.unwrap().send(result).unwrap();
        }
    });
    let answer = ask_node_with(&node, &Question::TakeContacts).await;
    assert_eq!(answer, Answer::TakenUp(expected));
    let answer = ask_node_with(&node, &Question::TakeContacts).await;
    assert_eq!(answer, Answer::Failed(TakeUpError::NoFile.to_string()));
    watch.await.unwrap();
}

#[tokio::test]
async fn a_generation_whose_proof_does_not_hold_is_not_learnt() {
    let node = TestNode::build().await;
    node.journal.put_key(key_record(1, 0)).unwrap();
    let answer = ask_node_with(&node, &Question::Learn(Box::new(proof()))).await;
    assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
    let record = node.journal.key(&key(1)).unwrap().unwrap();
    assert_eq!(record.descriptor.generation, 0);
}

#[tokio::test]
async fn a_staged_backup_holds_all_files_of_the_node() {
    let node = TestNode::build().await;
    let answer = ask_node_with(&node, &Question::StageBackup).await;
    let Answer::Staged(staged) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(staged.node, node.parts.participant.own.id());
    assert!(staged.dir.starts_with(node.dir.path()));
    assert_eq!(std::fs::read_dir(&staged.dir).unwrap().count(), 3);
}

#[tokio::test]
async fn the_socket_takes_the_place_of_a_dead_nodes_and_goes_with_the_node() {
    let node = TestNode::build().await;
    let path = node.dir.path().join(SOCKET);
    drop(UnixListener::bind(&path).unwrap());
    let stopping = CancellationToken::new();
    let serving = tokio::spawn(serve(node.parts, stopping.clone()));
    tokio::task::yield_now().await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"\"quarantines\"\n").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let answer: Answer = serde_json::from_slice(&answer).unwrap();
    assert!(matches!(answer, Answer::Quarantines { .. }), "{answer:?}");
    stopping.cancel();
    serving.await.unwrap();
    assert!(!path.exists());
}

#[test]
fn a_backup_and_a_drill_are_noted_apart_and_neither_is_in_the_audit_log() {
    let (_dir, journal) = crate::specimen::journal();
    let times = || {
        (
            journal.backed_up_at().unwrap(),
            journal.drilled_at().unwrap(),
        )
    };
    let entries = journal.audit_entries().unwrap();
    assert_eq!(times(), (None, None));
    let before = now();
    assert_eq!(put(&journal, Question::Note(Care::Backup)), Answer::Noted);
    let (backup, drill) = times();
    assert!(backup >= Some(before) && drill.is_none());
    assert_eq!(put(&journal, Question::Note(Care::Drill)), Answer::Noted);
    assert!(times().1 >= backup);
    assert_eq!(journal.audit_entries().unwrap(), entries);
    // A clock that was ahead does not keep the time of a backup for years.
    journal.backed_up(UnixMillis(1)).unwrap();
    assert_eq!(times().0, Some(UnixMillis(1)));
}
