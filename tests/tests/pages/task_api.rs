//! `docs/task-api.md`: the task that another library signed.

use countersign_protocol::{RequesterId, SignedTask, TaskError, UnixMillis};

use crate::page::Page;

const PAGE: Page = Page(include_str!("../../../docs/task-api.md"));

#[test]
fn the_task_of_the_page_is_authentic() {
    let text = PAGE.section("A task").block("json");
    let vector = PAGE.section("What is signed");
    assert_eq!(
        hex::encode(SignedTask::signed_message(text.as_bytes())),
        vector.cell("digest")
    );

    let mut task = SignedTask {
        bytes: text.into(),
        signature: [0; 64].into(),
    };
    let now = UnixMillis(1_010_000);
    assert_eq!(
        task.authenticate(|_| true, None, now).err(),
        Some(TaskError::BadSignature)
    );
    let mut genuine = [0; 64];
    hex::decode_to_slice(vector.cell("signature"), &mut genuine).unwrap();
    task.signature = genuine.into();
    let authenticated = task.authenticate(|_| true, None, now).unwrap();
    let key = hex::decode(vector.cell("public key")).unwrap();
    assert_eq!(
        authenticated.requester,
        RequesterId::from_bytes(key.try_into().unwrap()).unwrap()
    );
    assert!(
        vector
            .text()
            .contains(&format!("here `{}`.", authenticated.hash()))
    );
}

#[test]
fn the_secret_key_of_the_page_makes_its_signature() {
    let text = PAGE.section("A task").block("json");
    let vector = PAGE.section("What is signed");
    assert!(vector.text().contains("the secret key 32 times `07`"));
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    assert_eq!(
        hex::encode(key.verifying_key().to_bytes()),
        vector.cell("public key")
    );
    let signature = ed25519_dalek::Signer::sign(&key, &SignedTask::signed_message(text.as_bytes()));
    assert_eq!(hex::encode(signature.to_bytes()), vector.cell("signature"));
}
