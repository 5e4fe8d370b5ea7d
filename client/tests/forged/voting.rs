//! Voting at a coordinator that lies: no vote is signed on anything but what was shown, and no
//! vote counts that does not prove itself.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use countersign_client::VotingKey;
use countersign_client::api::{Collecting, State, TaskView};
use countersign_protocol::evidence::Signature;
use countersign_protocol::task::Collect;
use countersign_protocol::{
    Choice, KeyDescriptor, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign, Operation,
    OperationKind, Payload, PayloadKind, Proof, Scheme, SignedTask, Task, TaskId, Threshold,
    UnixMillis, Vote,
};
use countersign_vote::testing::Key;
use serde_json::{Value, json};

use super::coordinator::{Forger, OURS, THEIRS, committee, made, moved, node, order, view};
use super::{command, text};

const HOUR: u64 = 3_600_000;
const MESSAGE: &[u8] = b"pay 5 to bob";

/// A coordinator with a wallet of ours, and a task on which people may vote.
struct Office {
    forger: Forger,
    key: VotingKey,
    wallet: KeyDescriptor,
    task: SignedTask,
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_millis() as u64
}

/// A task that has `MESSAGE` signed, once two people have approved it.
fn task(requester: &countersign_client::RequesterKey, wallet: KeyId) -> Task {
    let created = now() - 1000;
    Task {
        version: 1,
        id: TaskId([50; 16]),
        created: UnixMillis(created),
        not_after: UnixMillis(created + HOUR),
        requester: requester.id(),
        note: Some("the rent".into()),
        claims: [("invoice".to_owned(), "7".to_owned())].into(),
        collect: Some(Collect {
            votes: 2,
            until: UnixMillis(created + HOUR / 2),
        }),
        operation: Operation::KeySign(KeySign {
            key: wallet,
            path: "m".parse().unwrap(),
            payload: Payload::new(PayloadKind::Message, MESSAGE.to_vec()),
            signers: None,
        }),
    }
}

/// The task as an honest coordinator tells it.
fn pending(order: &SignedTask) -> TaskView {
    let task = order.parse().unwrap();
    let mut told = view(order, task.id);
    told.summary.state = State::Pending.into();
    told.summary.operation = OperationKind::from(&task.operation).into();
    told.summary.wallet = match &task.operation {
        Operation::KeyGen(_) => KeyId::of_task(&order.hash()),
        Operation::KeySign(sign) => sign.key,
        Operation::KeyReshare(reshare) => reshare.from.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    };
    told.summary.collecting = task.collect.map(|collect| Collecting {
        needed: collect.votes,
        approved: 0,
        rejected: 0,
        until: collect.until,
    });
    told
}

impl Office {
    async fn open() -> Self {
        let forger = Forger::start().await;
        let key = VotingKey::create(&forger.dir.path().join("approver.key")).unwrap();
        let origin = order(&forger.own, &OURS, 1);
        let wallet = made(&origin, 77);
        forger.tell(&[(&origin, std::slice::from_ref(&wallet))]);
        let task = forger.colleague.sign(&task(&forger.colleague, wallet.key));
        let office = Self {
            forger,
            key,
            wallet,
            task,
        };
        office.tell(&pending(&office.task));
        office.tell_votes(&[]);
        office
    }

    fn id(&self) -> String {
        self.task.parse().unwrap().id.to_string()
    }

    fn tell(&self, view: &TaskView) {
        let path = format!("/tasks/{}", self.id());
        self.forger.answer(&path, Some(json!(view)));
    }

    fn tell_votes(&self, votes: &[(&str, Vote)]) {
        let one = |(name, vote): &(&str, Vote)| json!({"name": name, "received": 1, "vote": vote});
        let votes: Vec<Value> = votes.iter().map(one).collect();
        let list = json!({
            "task": self.id(), "hash": self.task.hash(), "votes": votes, "missing": ["bob"],
        });
        let path = format!("/tasks/{}/votes", self.id());
        self.forger.answer(&path, Some(list));
    }

    async fn run(&self, args: &[&str]) -> Output {
        command(&self.forger, args).await
    }

    /// Votes without a question.
    async fn vote(&self, more: &[&str]) -> Output {
        let file = self.file("approver.key");
        let id = self.id();
        let hash = self.task.hash().to_string();
        let mut args = vec!["task", "vote", &id, "--yes", "--key", &file];
        if !more.contains(&"--hash") {
            args.extend(["--hash", &hash]);
        }
        args.extend(more);
        self.run(&args).await
    }

    fn file(&self, name: &str) -> String {
        self.forger.dir.path().join(name).display().to_string()
    }

    /// Nothing was posted, and the error has this code.
    async fn refuses(&self, code: &str, exit: i32) {
        for choice in ["--approve", "--reject"] {
            let output = self.vote(&[choice, "--json"]).await;
            let shown = text(&output.stdout);
            assert_eq!(output.status.code(), Some(exit), "{shown}");
            let told: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(told["error"]["code"], code, "{shown}");
            assert!(
                self.forger.handed_in().is_empty(),
                "{code}: a vote was sent"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_is_on_the_bytes_that_were_shown_and_proves_itself() {
    let office = Office::open().await;
    for (flag, choice) in [("--approve", Choice::Approve), ("--reject", Choice::Reject)] {
        office.tell_votes(&[]);
        let output = office.vote(&[flag]).await;
        let shown = text(&output.stderr);
        assert!(output.status.success(), "{shown}");
        for part in [
            "pay 5 to bob",
            "the rent",
            "invoice=7",
            "treasury",
            "colleague (csr1",
            "asks for 2 approvals",
            &office.task.hash().to_string(),
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        let handed_in = office.forger.handed_in();
        let [(path, body)] = &handed_in[..] else {
            panic!("{handed_in:?}")
        };
        assert_eq!(path, &format!("/tasks/{}/votes", office.id()));
        let vote = Vote::from_json(body.to_string().as_bytes()).unwrap();
        let checked = countersign_vote::check(&vote, &office.task.hash(), None).unwrap();
        assert_eq!(checked.ballot().choice, choice);
        assert_eq!(checked.ballot().approver, office.key.id());
        assert!(checked.ballot().time.0.abs_diff(now()) < HOUR);
        let said = text(&output.stdout);
        let expected = match choice {
            Choice::Approve => "approved: 1 key approved; who has them is the coordinator's word",
            Choice::Reject => "rejected: 0 keys approved, 1 rejected; who has them is",
        };
        assert!(said.contains(expected), "{said}");
    }
}

/// Whatever is ordered, the person who votes sees who holds what afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_order_is_shown_in_full() {
    let mut office = Office::open().await;
    let threshold = Threshold::try_from(2).unwrap();
    let reshare = |from: &KeyDescriptor| {
        Operation::KeyReshare(Box::new(KeyReshare {
            from: from.clone(),
            committee: committee(&[1, 2, 101]),
            threshold,
            dealers: Some(vec![node(1), node(2)]),
        }))
    };
    let keygen = Operation::KeyGen(KeyGen {
        name: "payroll".into(),
        scheme: Scheme::EcdsaSecp256k1,
        committee: committee(&[1, 2, 101]),
        threshold,
    });
    let check_up = Operation::KeyShareSign(KeyShareSign {
        key: office.wallet.key,
        nodes: vec![node(1), node(3)],
    });
    let long = KeySign {
        key: office.wallet.key,
        path: "m".parse().unwrap(),
        payload: Payload::new(
            PayloadKind::Message,
            [b"pay ".repeat(200), b"EVE".to_vec()].concat(),
        ),
        signers: Some(vec![node(2), node(3)]),
    };
    let stranger = node(101).to_string();
    for (operation, parts) in [
        (
            keygen,
            &[
                "payroll",
                "ecdsa-secp256k1",
                "2 of 3",
                "n1 (csn1",
                &stranger,
                "NOT under",
            ][..],
        ),
        (
            reshare(&office.wallet),
            &[
                "treasury",
                "leave: n3",
                "dealers     n1, n2",
                &stranger,
                "NOT under",
            ],
        ),
        (check_up, &["treasury", "checks      n1, n3"]),
        (
            Operation::KeySign(long),
            &["pay EVE", "signers     n2, n3", "path        m"],
        ),
    ] {
        let mut task = task(&office.forger.colleague, office.wallet.key);
        task.operation = operation;
        office.task = office.forger.colleague.sign(&task);
        office.tell(&pending(&office.task));
        office.tell_votes(&[]);
        let output = office.vote(&["--approve"]).await;
        let shown = text(&output.stderr);
        assert!(output.status.success(), "{shown}");
        for part in [parts, &["the rent", "asks for 2 approvals"]].concat() {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        assert_eq!(office.forger.handed_in().len(), 1);
    }
    // A reshare from a generation that the wallet book does not know.
    let other = moved(&office.wallet, &OURS, &[1, 2]);
    let mut task = task(&office.forger.colleague, office.wallet.key);
    task.operation = reshare(&other);
    office.task = office.forger.colleague.sign(&task);
    office.tell(&pending(&office.task));
    let output = office.vote(&["--approve", "--json"]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("vote-generation"));
    assert!(office.forger.handed_in().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_altered_or_swapped_gets_no_vote() {
    let office = Office::open().await;
    let honest = pending(&office.task);
    let another = {
        let mut task = office.task.parse().unwrap();
        task.id = TaskId([51; 16]);
        pending(&office.forger.colleague.sign(&task))
    };
    let forge = |change: &dyn Fn(&mut TaskView)| {
        let mut forged = honest.clone();
        change(&mut forged);
        forged
    };
    let more = hex::encode("pay 9 to eve");
    let message = hex::encode(MESSAGE);
    for forged in [
        forge(&|view| view.task = view.task.replace(&message, &more)),
        forge(&|view| view.task = view.task.replace("the rent", "the rent!")),
        forge(&|view| view.task.push(' ')),
        forge(&|view| view.signature = [1; 64].into()),
        forge(&|view| view.summary.wallet = KeyId::from_bytes([1; 16]).unwrap()),
        forge(&|view| view.summary.requester = office.forger.own.id()),
        another.clone(),
        forge(&|view| {
            view.task = another.task.clone();
            view.signature = another.signature.clone();
        }),
    ] {
        office.tell(&forged);
        office.refuses("invalid-result", 3).await;
    }
    office.tell(&honest);
    let hash = office.task.hash().to_string();
    let expected = office.vote(&["--approve", "--hash", &hash]).await;
    assert!(expected.status.success(), "{}", text(&expected.stderr));
    assert_eq!(office.forger.handed_in().len(), 1);
    // A requester who signs two tasks with one id does not get a program to vote on either.
    let mut twin = office.task.parse().unwrap();
    twin.note = None;
    office.tell(&pending(&office.forger.colleague.sign(&twin)));
    let refused = office.vote(&["--approve", "--hash", &hash, "--json"]).await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stdout).contains("vote-hash"));
    assert!(office.forger.handed_in().is_empty());
}

/// The name of the wallet leads to another key than the people who vote believe in.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_with_a_wallet_that_is_not_believed_gets_no_vote() {
    let office = Office::open().await;
    let path = format!("/wallets/{}", office.wallet.key);
    let other = made(&order(&office.forger.own, &OURS, 2), 100);
    let forged = KeyDescriptor {
        root_public_key: other.root_public_key.clone(),
        ..office.wallet.clone()
    };
    for (wallet, code, exit) in [(&other, "answer", 1), (&forged, "invalid-wallet", 3)] {
        let told = json!({ "announcement": wallet });
        office.forger.answer(&path, Some(told));
        office.refuses(code, exit).await;
    }
    let theirs = order(&office.forger.stranger, &THEIRS, 3);
    let wallet = made(&theirs, 100);
    office
        .forger
        .tell(&[(&theirs, std::slice::from_ref(&wallet))]);
    let task = task(&office.forger.colleague, wallet.key);
    let task = office.forger.colleague.sign(&task);
    let office = Office { task, ..office };
    office.tell(&pending(&office.task));
    office.refuses("wallet-distrusted", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_whom_the_profile_does_not_name_gets_no_vote() {
    let office = Office::open().await;
    let task = task(&office.forger.stranger, office.wallet.key);
    let task = office.forger.stranger.sign(&task);
    let office = Office { task, ..office };
    office.tell(&pending(&office.task));
    office.refuses("vote-stranger", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_collects_no_votes_or_none_any_more_gets_none() {
    let office = Office::open().await;
    for state in [
        State::Waiting,
        State::Approving,
        State::Running,
        State::Completed,
        State::Rejected,
        State::Failed,
        State::Expired,
        State::Cancelled,
    ] {
        let mut told = pending(&office.task);
        told.summary.state = state.into();
        office.tell(&told);
        office.refuses("vote-not-pending", 1).await;
    }
    let with = |change: &dyn Fn(&mut Task)| {
        let mut task = task(&office.forger.colleague, office.wallet.key);
        change(&mut task);
        office.forger.colleague.sign(&task)
    };
    for (task, code, exit) in [
        (with(&|task| task.collect = None), "vote-not-asked", 1),
        (
            with(&|task| {
                task.created = UnixMillis(now() - HOUR);
                task.not_after = UnixMillis(now() + HOUR);
                task.collect.as_mut().unwrap().until = UnixMillis(now() - 1);
            }),
            "vote-over",
            1,
        ),
        (
            with(&|task| {
                task.created = UnixMillis(now() - 2 * HOUR);
                task.not_after = UnixMillis(now() - HOUR);
                task.collect.as_mut().unwrap().until = task.not_after;
            }),
            "vote-order",
            3,
        ),
        (
            with(&|task| task.created = UnixMillis(now() + HOUR / 4)),
            "vote-order",
            3,
        ),
    ] {
        office.tell(&pending(&task));
        office.refuses(code, exit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_drops_a_vote_is_noticed() {
    let office = Office::open().await;
    let path = format!("POST /tasks/{}/votes", office.id());
    let another = Key::new(9).vote(office.task.hash(), Choice::Approve, now());
    let list = |votes: Value| json!({"task": office.id(), "hash": office.task.hash(), "votes": votes, "missing": []});
    let others = json!([{"name": "ann", "received": 1, "vote": another}]);
    for votes in [json!([]), others] {
        office.forger.answer(&path, Some(list(votes)));
        let output = office.vote(&["--approve", "--json"]).await;
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{shown}");
        assert!(shown.contains("vote-not-listed"), "{shown}");
        assert_eq!(office.forger.handed_in().len(), 1);
    }
}

/// Both keys are the coordinator's, and their votes are genuine.
#[tokio::test(flavor = "multi_thread")]
async fn people_whom_the_coordinator_invents_approve_nothing() {
    let office = Office::open().await;
    let vote = |seed| Key::new(seed).vote(office.task.hash(), Choice::Approve, now());
    office.tell_votes(&[("ann", vote(1)), ("ben", vote(2))]);
    let args = ["task", "show", &office.id()];
    let shown = text(&office.run(&args).await.stdout);
    for part in [
        "2 keys approved; who has them is the coordinator's word",
        "pay 5 to bob",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(!shown.contains("people approved"), "{shown}");
    let json = office.run(&[&args[..], &["--json"]].concat()).await.stdout;
    let told: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(told["votes"]["names"], "coordinator");
    let profile = std::fs::read_to_string(office.file("profile.yaml")).unwrap();
    let listed = format!("{profile}approvers:\n  ann: [{}]\n", Key::new(3).id());
    std::fs::write(office.file("profile.yaml"), listed).unwrap();
    let shown = text(&office.run(&args).await.stdout);
    for part in [
        "0 of 2 people approved",
        "a key that is not in your profile",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let json = office.run(&[&args[..], &["--json"]].concat()).await.stdout;
    let told: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(told["votes"]["names"], "profile");
    assert_eq!(told["votes"]["approved"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_vote_of_the_same_key_does_not_pass_for_the_new_one() {
    let office = Office::open().await;
    let hash = office.task.hash();
    let own = |time| {
        office
            .key
            .vote(hash, Choice::Approve, UnixMillis(time))
            .unwrap()
    };
    let path = format!("POST /tasks/{}/votes", office.id());
    let old = json!([{"name": "ann", "received": 1, "vote": own(now() - 5000)}]);
    let list = json!({"task": office.id(), "hash": hash, "votes": old, "missing": []});
    office.forger.answer(&path, Some(list));
    let output = office.vote(&["--approve", "--json"]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("vote-not-listed"));
    office.forger.answer(&path, None);
    office.forger.handed_in();
    // The clock was ahead by a little when the last vote was made, then by too much.
    let ahead = now() + 20_000;
    office.tell_votes(&[("ann", own(ahead))]);
    let output = office.vote(&["--reject"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(office.forger.handed_in()[0].1["time"], ahead + 1);
    office.tell_votes(&[("ann", own(now() + HOUR))]);
    office.refuses("vote-clock", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_without_a_readable_answer_is_sent_again_and_is_not_called_undone() {
    let office = Office::open().await;
    let path = format!("POST /tasks/{}/votes", office.id());
    office.forger.answer(&path, Some(json!({})));
    let output = office
        .vote(&["--approve", "--json", "--timeout", "2"])
        .await;
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{shown}");
    assert!(shown.contains("vote-unknown"), "{shown}");
    let sent = office.forger.handed_in();
    assert!(sent.len() > 1);
    assert!(
        sent.iter().all(|one| *one == sent[0]),
        "another vote was sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_votes_unasked_for_a_requester_whom_the_profile_does_not_name() {
    let office = Office::open().await;
    let profile = std::fs::read_to_string(office.file("profile.yaml")).unwrap();
    let start = profile.find("trusted_requesters:").unwrap();
    let end = profile.find("nodes:").unwrap();
    let nobody = [&profile[..start], &profile[end..]].concat();
    std::fs::write(office.file("profile.yaml"), nobody).unwrap();
    office.refuses("vote-stranger", 3).await;
}

/// Runs the command at a terminal, where the person types this.
async fn at_terminal(office: &Office, args: &[&str], typed: &'static str) -> String {
    let words = [&[env!("CARGO_BIN_EXE_countersign")], args].concat();
    let line = format!(
        "{} --config {}",
        words.join(" "),
        office.file("profile.yaml")
    );
    tokio::task::spawn_blocking(move || {
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        text(&output.stdout)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_does_not_confirm_has_not_voted() {
    let office = Office::open().await;
    let id = office.id();
    let file = office.file("approver.key");
    let args = ["task", "vote", &id, "--approve", "--key", &file];
    let alone = office.run(&args).await;
    assert_eq!(alone.status.code(), Some(1));
    assert!(text(&alone.stderr).contains("no terminal"));
    for typed in ["no\n", "\n", "y\n", "yes\n", "reject\n"] {
        let shown = at_terminal(&office, &args, typed).await;
        for part in [
            "pay 5 to bob",
            "You vote on this order",
            "Type approve",
            "not confirmed",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        assert!(office.forger.handed_in().is_empty(), "{typed:?}");
    }
    // A program's form of the result hides nothing from the person who is asked.
    let json = [&args[..], &["--json"]].concat();
    let shown = at_terminal(&office, &json, "no\n").await;
    assert!(shown.contains("pay 5 to bob"), "{shown}");
    assert!(office.forger.handed_in().is_empty());
    let shown = at_terminal(&office, &args, "approve\n").await;
    assert!(shown.contains("1 key approved"), "{shown}");
    assert_eq!(office.forger.handed_in().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_role_does_not_vote() {
    let office = Office::open().await;
    let id = office.id();
    let hash = office.task.hash().to_string();
    for file in ["requester.key", "api.key", "none.key"] {
        let path = office.file(file);
        let args = [
            "task",
            "vote",
            &id,
            "--approve",
            "--yes",
            "--hash",
            &hash,
            "--key",
            &path,
        ];
        let output = office.run(&args).await;
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(text(&output.stderr).contains(file));
    }
    let none = office
        .run(&["task", "vote", &id, "--approve", "--yes", "--hash", &hash])
        .await;
    assert!(text(&none.stderr).contains("approver_key_file"));
    assert!(office.forger.handed_in().is_empty());
    let order = [
        "sign",
        "treasury",
        "--message",
        "x",
        "--config",
        &office.file("other.yaml"),
    ];
    let profile = std::fs::read_to_string(office.file("profile.yaml")).unwrap();
    let other = profile.replace("requester.key", "approver.key");
    std::fs::write(office.file("other.yaml"), other).unwrap();
    let args: Vec<String> = order.iter().map(|word| (*word).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(args).output().unwrap()
    });
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("this is not a requester key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_votes_are_shown_as_that_and_not_counted() {
    let office = Office::open().await;
    let hash = office.task.hash();
    let genuine = Key::new(1).vote(hash, Choice::Approve, now());
    let Proof::Ed25519(mut signature) = Key::new(2)
        .vote(hash, Choice::Approve, now())
        .proof()
        .clone()
    else {
        panic!("it is an Ed25519 key's")
    };
    signature.0[3] ^= 1;
    let ballot = *Key::new(2).vote(hash, Choice::Approve, now()).ballot();
    let forged = Vote::new(ballot, Proof::Ed25519(Signature(signature.0))).unwrap();
    let elsewhere = Key::new(3).vote(countersign_protocol::Hash([1; 32]), Choice::Approve, now());
    office.tell_votes(&[("ann", genuine), ("dave", forged), ("erin", elsewhere)]);
    for command in ["show", "explain"] {
        let explained = json!({
            "task": office.id(), "state": "pending", "summary": "it waits", "waiting_for": [],
            "nodes": [], "advice": null,
        });
        let path = format!("/tasks/{}/explain", office.id());
        office.forger.answer(&path, Some(explained));
        let output = office.run(&["task", command, &office.id()]).await;
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        for part in [
            "1 key approved; who has them is the coordinator's word",
            "\"ann\"  approved",
            "\"dave\"  NOT GENUINE: with a wrong signature",
            "\"erin\"  NOT GENUINE: for another task",
            "waiting for people's approval",
            "asks for 2 approvals",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        let output = office.run(&["task", command, &office.id(), "--json"]).await;
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["votes"]["approved"], 1, "{told}");
        assert_eq!(told["votes"]["votes"][1]["counted"], false);
    }
    // A coordinator that tells of votes on another task tells nothing.
    let path = format!("/tasks/{}/votes", office.id());
    let other = json!({"task": office.id(), "hash": "ab".repeat(32), "votes": [], "missing": []});
    office.forger.answer(&path, Some(other));
    let shown = text(&office.run(&["task", "show", &office.id()]).await.stdout);
    assert!(shown.contains("not told: "), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_people_that_is_over_has_an_exit_code_of_its_own() {
    let office = Office::open().await;
    let id = office.id();
    // There is no stream, so the task is polled.
    office.forger.answer("/events", Some(json!({})));
    for args in [
        &["task", "show", &id, "--wait", "--timeout", "1"][..],
        &["task", "watch", &id, "--timeout", "1"],
    ] {
        let output = office.run(args).await;
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{shown}");
        assert!(
            shown.contains("0 of 2 by the coordinator's word"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_collects_votes_says_so_and_lives_until_then() {
    let office = Office::open().await;
    let client = office.forger.client();
    client.wallet(office.wallet.key).await.unwrap();
    office.forger.handed_in();
    for (args, days) in [
        (
            &["sign", "treasury", "--message", "x", "--collect", "3"][..],
            1,
        ),
        (
            &[
                "wallet",
                "check",
                "treasury",
                "--collect",
                "3",
                "--until",
                "6d",
            ],
            6,
        ),
    ] {
        let output = office.run(args).await;
        let shown = text(&output.stderr);
        assert!(shown.contains("asks for 3 approvals until"), "{shown}");
        let handed_in = office.forger.handed_in();
        let order = handed_in[0].1["task"].as_str().unwrap();
        let task: Task = serde_json::from_str(order).unwrap();
        let collect = task.collect.unwrap();
        let day = 24 * HOUR;
        assert_eq!(collect.votes, 3);
        assert!(collect.until.0.abs_diff(task.created.0 + days * day) < HOUR);
        assert!(task.not_after >= collect.until && task.life() <= Task::MAX_COLLECTING_LIFE_MS);
    }
}

#[tokio::test]
async fn an_approver_is_made_once_and_only_its_id_is_shown() {
    let forger = Forger::start().await;
    let file = forger.dir.path().join("new.key");
    let path = file.to_str().unwrap();
    let made = command(&forger, &["approver", "new", "--out", path]).await;
    let id = text(&made.stdout).trim().to_owned();
    assert!(id.starts_with("csv1"), "{id}");
    assert!(text(&made.stderr).contains("approvers"));
    let secret = std::fs::read_to_string(&file).unwrap();
    let again = command(&forger, &["approver", "new", "--out", path]).await;
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
    let shown = command(&forger, &["approver", "show", "--key", path]).await;
    assert_eq!(text(&shown.stdout).trim(), id);
    let unnamed = command(&forger, &["approver", "show"]).await;
    assert!(text(&unnamed.stderr).contains("approver_key_file"));
    for output in [made, again, shown, unnamed] {
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains(secret.trim()));
    }
}
