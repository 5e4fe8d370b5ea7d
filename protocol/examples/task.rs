//! Makes, signs and authenticates the task of `docs/task-api.md`:
//! `cargo run -p countersign-protocol --example task`.

use std::collections::BTreeMap;
use std::error::Error;

use countersign_protocol::{
    KeyId, KeySign, Operation, Payload, PayloadKind, RequesterId, SignedTask, Task, TaskId,
    UnixMillis,
};
use ed25519_dalek::{Signer, SigningKey};

fn main() -> Result<(), Box<dyn Error>> {
    // A real requester draws its key and each task id at random, and takes the time from a clock.
    let requester = SigningKey::from_bytes(&[7; 32]);
    let task = Task {
        version: 1,
        id: TaskId([1; 16]),
        created: UnixMillis(1_000_000),
        not_after: UnixMillis(1_060_000),
        requester: RequesterId::from_bytes(requester.verifying_key().to_bytes())?,
        note: None,
        claims: BTreeMap::new(),
        collect: None,
        operation: Operation::KeySign(KeySign {
            key: KeyId::from_bytes([3; 16])?,
            path: "m/0/1".parse()?,
            payload: Payload::new(PayloadKind::Message, b"pay".to_vec()),
            signers: None,
        }),
    };

    // The signature covers a labelled hash of the exact bytes; nobody encodes the task again.
    let bytes = task.to_bytes();
    let signature = requester
        .sign(&SignedTask::signed_message(&bytes))
        .to_bytes()
        .into();
    let signed = SignedTask { bytes, signature };
    println!("{}", String::from_utf8_lossy(&signed.bytes));

    // The receiver has its own list of requesters and its own clock, and believes no passkeys.
    let listed = |id: &RequesterId| *id == task.requester;
    let now = UnixMillis(1_010_000);
    let authentic = signed.authenticate(listed, None, now)?;
    println!("{} ordered {}", authentic.requester, authentic.hash());

    let mut altered = signed;
    altered.bytes.push(b' ');
    match altered.authenticate(listed, None, now) {
        Ok(_) => return Err("an altered task was authenticated".into()),
        Err(error) => println!("one more space: {} ({error})", error.code()),
    }
    Ok(())
}
