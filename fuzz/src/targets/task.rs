//! Tasks: the JSON that a requester signs.

use std::collections::BTreeMap;

use countersign_protocol::{
    Committee, Hash, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign, Operation, OperationKind,
    Payload, PayloadKind, Scheme, SignedTask, Task, TaskId, UnixMillis,
};

use super::people;

/// Reads a task as a node does.
pub(super) fn run(bytes: &[u8]) -> bool {
    let signed = SignedTask {
        bytes: bytes.to_vec(),
        signature: [0; 64].into(),
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
        signature: [0; 64].into(),
    };
    assert_eq!(again.parse().expect("what was written is read"), task);
    let now = UnixMillis(task.created.0);
    assert!(
        signed.authenticate(|_| true, None, now).is_err(),
        "nobody signed it"
    );
    true
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let task = |operation: Operation| Task {
        version: 1,
        id: TaskId([5; 16]),
        created: UnixMillis(1_800_000_000_000),
        not_after: UnixMillis(1_800_000_600_000),
        requester: people::requester(),
        note: Some("for the rent".into()),
        claims: BTreeMap::from([("amount".into(), "3".into())]),
        collect: None,
        operation,
    };
    OperationKind::ALL
        .into_iter()
        .flat_map(samples)
        .map(|operation| task(operation).to_bytes())
        .collect()
}

/// Returns operations of one kind, with every scheme and kind of payload.
fn samples(kind: OperationKind) -> Vec<Operation> {
    let key = KeyId::of_task(&Hash([6; 32]));
    let committee = || Committee::new(people::nodes()).expect("three nodes");
    let threshold = people::descriptor().threshold;
    match kind {
        OperationKind::KeyGen => {
            let making = Scheme::ALL.map(|scheme| {
                Operation::KeyGen(KeyGen {
                    name: "treasury".into(),
                    scheme,
                    committee: committee(),
                    threshold,
                })
            });
            making.into()
        }
        OperationKind::KeySign => {
            let bytes = b"pay 3 to bob, and 32 bytes more.";
            let signing = PayloadKind::ALL.map(|kind| {
                let path = "m/0/7".parse().expect("a path");
                let signers = (kind == PayloadKind::Message).then(people::nodes);
                Operation::KeySign(KeySign {
                    key,
                    path,
                    payload: Payload::new(kind, bytes.to_vec()),
                    signers,
                })
            });
            signing.into()
        }
        OperationKind::KeyReshare => {
            let moving = KeyReshare {
                from: people::descriptor(),
                committee: committee(),
                threshold,
                dealers: None,
            };
            vec![Operation::KeyReshare(Box::new(moving))]
        }
        OperationKind::KeyShareSign => {
            let check_up = KeyShareSign {
                key,
                nodes: people::nodes(),
            };
            vec![Operation::KeyShareSign(check_up)]
        }
    }
}
