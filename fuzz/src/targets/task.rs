//! Tasks: the JSON that a requester signs.

use std::collections::BTreeMap;

use countersign_protocol::{
    Committee, Hash, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign, Operation, Payload,
    PayloadKind, Scheme, SignedTask, Task, TaskId, UnixMillis,
};

use super::people;

/// Reads a task as a node does.
pub(super) fn run(bytes: &[u8]) -> bool {
    let signed = SignedTask {
        bytes: bytes.to_vec(),
        signature: [0; 64],
    };
    let Ok(task) = signed.parse() else {
        return false;
    };
    // Another JSON parser, which somebody else's program may have, reads the same.
    let elsewhere: Task =
        serde_json::from_slice(bytes).expect("what is read strictly is read by everybody");
    assert_eq!(elsewhere, task, "two readers read two tasks");
    let again = SignedTask {
        bytes: task.to_bytes(),
        signature: [0; 64],
    };
    assert_eq!(again.parse().expect("what was written is read"), task);
    let now = UnixMillis(task.created.0);
    assert!(
        signed.authenticate(|_| true, now).is_err(),
        "nobody signed it"
    );
    true
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let nodes = people::nodes();
    let key = KeyId::of_task(&Hash([6; 32]));
    let committee = || Committee::new(people::nodes()).expect("three nodes");
    let threshold = people::descriptor().threshold;
    let payload = |kind| Payload::new(kind, b"pay 3 to bob, and 32 bytes more.".to_vec());
    let signing = PayloadKind::ALL.map(|kind| {
        let path = "m/0/7".parse().expect("a path");
        let signers = (kind == PayloadKind::Message).then(|| nodes.clone());
        Operation::KeySign(KeySign {
            key,
            path,
            payload: payload(kind),
            signers,
        })
    });
    let making = Scheme::ALL.map(|scheme| {
        Operation::KeyGen(KeyGen {
            name: "treasury".into(),
            scheme,
            committee: committee(),
            threshold,
        })
    });
    let from = people::descriptor();
    let moving = KeyReshare {
        from,
        committee: committee(),
        threshold,
        dealers: None,
    };
    let rest = [
        Operation::KeyReshare(Box::new(moving)),
        Operation::KeyShareSign(KeyShareSign {
            key,
            nodes: nodes.clone(),
        }),
    ];
    let task = |operation: Operation| Task {
        version: 1,
        id: TaskId([5; 16]),
        created: UnixMillis(1_800_000_000_000),
        not_after: UnixMillis(1_800_000_600_000),
        requester: people::requester(),
        note: Some("for the rent".into()),
        claims: BTreeMap::from([("amount".into(), "3".into())]),
        operation,
    };
    signing
        .into_iter()
        .chain(making)
        .chain(rest)
        .map(|operation| task(operation).to_bytes())
        .collect()
}
