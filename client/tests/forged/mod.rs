//! Wallets that a coordinator invents: everything in them proves everything else, and nobody known
//! to the client stands behind it. None may be shown as an address, used, or written into the book.

pub mod coordinator;
mod voting;

use std::slice::from_ref;

use countersign_client::belief::Ground;
use countersign_client::{Listed, Standing};
use countersign_protocol::{Hash, OperationKind, SignedTask};
use ed25519_dalek::SigningKey;
use serde_json::json;

use super::*;
use coordinator::{
    Forger, OURS, THEIRS, acked, acked_with, key, made, moved, node, order, task, view,
    write_book_v1,
};

const DISTRUSTED: &str = "wallet-distrusted";
const INVALID: &str = "invalid-wallet";

pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

async fn command(forger: &Forger, args: &[&str]) -> Output {
    binary(forger.dir.path(), args).await
}

/// However the wallet is asked for, it is refused with this code, and leaves no trace.
async fn refused(forger: &Forger, told: &[(&SignedTask, &[KeyDescriptor])], code: &str) {
    forger.tell(told);
    let client = forger.client();
    let id = told[0].1[0].key;
    let error = client.wallet(id).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), (code, 3), "{error}");
    assert_eq!(client.newest_wallet(id).await.unwrap_err().code(), code);
    forger.asked();
    assert_eq!(
        client.find_wallet("treasury").await.unwrap_err().code(),
        "usage"
    );
    assert_eq!(
        forger.asked(),
        [""; 0],
        "a name is looked up in the book alone"
    );
    let listed = client.wallets().await.unwrap();
    assert!(
        matches!(
            &listed[..],
            [Listed {
                standing: Standing::Refused(_),
                ..
            }]
        ),
        "{listed:?}"
    );
    let by_id = command(forger, &["address", &id.to_string()]).await;
    assert_eq!(
        (by_id.status.code(), text(&by_id.stdout)),
        (Some(3), String::new())
    );
    let by_name = command(forger, &["address", "treasury"]).await;
    assert_eq!(
        (by_name.status.code(), text(&by_name.stdout)),
        (Some(1), String::new())
    );
    let list = command(forger, &["wallet", "list"]).await;
    assert!(
        text(&list.stdout).contains("NOT TRUSTED"),
        "{}",
        text(&list.stdout)
    );
    assert!(!forger.book().exists(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_whom_nobody_knows() {
    let forger = Forger::start().await;
    let order = order(&forger.stranger, &THEIRS, 1);
    refused(&forger, &[(&order, &[made(&order, 100)])], DISTRUSTED).await;
    let shown = command(
        &forger,
        &["wallet", "show", &made(&order, 100).key.to_string()],
    )
    .await;
    let error = text(&shown.stderr);
    for part in [
        node(101).to_string(),
        forger.stranger.id().to_string(),
        "wallet trust".into(),
    ] {
        assert!(error.contains(&part), "{part} is missing in {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_whom_nobody_knows_with_a_requester_who_is_trusted() {
    let forger = Forger::start().await;
    let order = order(&forger.colleague, &THEIRS, 1);
    refused(&forger, &[(&order, &[made(&order, 100)])], DISTRUSTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_of_three_whom_nobody_knows() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &[1, 2, 103], 1);
    refused(&forger, &[(&order, &[made(&order, 100)])], DISTRUSTED).await;
    let error = forger
        .client()
        .wallet(made(&order, 100).key)
        .await
        .unwrap_err();
    assert!(
        error.details().iter().any(|line| line.contains("n1 (csn1")),
        "{:?}",
        error.details()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn our_members_for_a_requester_whom_nobody_knows() {
    let forger = Forger::start().await;
    let order = order(&forger.stranger, &OURS, 1);
    refused(&forger, &[(&order, &[made(&order, 100)])], DISTRUSTED).await;
}

/// The key that signed the order is known from the wallet itself and from nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_signed_by_a_key_that_the_wallet_brings_along() {
    use ed25519_dalek::Signer;
    let forger = Forger::start().await;
    let requester = countersign_protocol::RequesterId::from_bytes(*node(1).as_bytes()).unwrap();
    let bytes = task(requester, &OURS, 1).to_bytes();
    let signature = key(1).sign(&SignedTask::signed_message(&bytes)).to_bytes();
    let order = SignedTask {
        bytes,
        signature: signature.into(),
    };
    refused(&forger, &[(&order, &[made(&order, 100)])], DISTRUSTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_our_name_that_somebody_else_signed() {
    let forger = Forger::start().await;
    let order = forger.stranger.sign(&task(forger.own.id(), &OURS, 1));
    refused(&forger, &[(&order, &[made(&order, 100)])], INVALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_generations_that_passes_through_strangers() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let first = made(&order, 100);
    let second = moved(&first, &THEIRS, &[1, 2]);
    let third = moved(&second, &OURS, &[101, 102]);
    assert!(third.succeeds(&second) && second.succeeds(&first));
    refused(&forger, &[(&order, &[first, second, third])], DISTRUSTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_generations_that_begins_with_strangers() {
    let forger = Forger::start().await;
    let order = order(&forger.colleague, &THEIRS, 1);
    let first = made(&order, 100);
    let second = moved(&first, &OURS, &[101, 102]);
    refused(&forger, &[(&order, &[first, second])], DISTRUSTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_generations_without_its_beginning() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let first = made(&order, 100);
    let told = moved(&first, &OURS, &[1, 2]);
    forger.tell(&[(&order, from_ref(&told))]);
    assert_eq!(
        forger.client().wallet(told.key).await.unwrap_err().code(),
        DISTRUSTED
    );
    assert!(!forger.book().exists());
    // A new coordinator may know no more. Then only a person can vouch for it.
    let id = told.key.to_string();
    let shown = json_of(&forger, &["wallet", "trust", &id]).await;
    let doubts = shown["doubts"].to_string();
    assert!(
        doubts.contains("no generation before 1") && doubts.contains("the order"),
        "{doubts}"
    );
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    let confirm = [
        "wallet",
        "trust",
        &id,
        "--confirm",
        fingerprint,
        "--reason",
        "compared at all nodes",
    ];
    assert_eq!(json_of(&forger, &confirm).await["trusted"], true);
    assert_eq!(forger.client().find_wallet("treasury").await.unwrap(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_with_acks_by_other_keys_under_our_names() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let genuine = made(&order, 77);
    let acks = genuine.committee.members().to_vec();
    let forged = acked_with(made(&order, 100), &acks, |_| key(101));
    refused(&forger, &[(&order, &[forged])], INVALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_with_the_acks_of_strangers() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let strangers: Vec<_> = THEIRS.iter().map(|seed| node(*seed)).collect();
    refused(
        &forger,
        &[(&order, &[acked(made(&order, 100), &strangers)])],
        INVALID,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_code_under_the_genuine_acks() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let mut wallet = made(&order, 77);
    wallet.chain_code = Hash([66; 32]);
    refused(&forger, &[(&order, &[wallet])], INVALID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_of_strangers_under_the_id_of_our_order() {
    let forger = Forger::start().await;
    let ours = order(&forger.own, &OURS, 1);
    let theirs = order(&forger.stranger, &THEIRS, 1);
    let mut forged = made(&theirs, 100);
    forged.key = made(&ours, 77).key;
    let strangers = forged.committee.members().to_vec();
    let forged = acked(forged, &strangers);
    refused(&forger, &[(&ours, from_ref(&forged))], INVALID).await;
    // And in place of the one that the book has.
    let genuine = made(&ours, 77);
    forger.tell(&[(&ours, from_ref(&genuine))]);
    let client = forger.client();
    client.wallet(genuine.key).await.unwrap();
    forger.tell(&[(&ours, &[forged])]);
    assert_eq!(
        client.newest_wallet(genuine.key).await.unwrap_err().code(),
        INVALID
    );
    assert_eq!(client.find_wallet("treasury").await.unwrap(), genuine);
    let listed = client.wallets().await.unwrap();
    assert!(
        matches!(&listed[..], [Listed { wallet, standing: Standing::Refused(_) }] if *wallet == genuine)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_without_the_order_that_made_it() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let wallet = made(&order, 77);
    forger.tell(&[(&order, from_ref(&wallet))]);
    forger.answer(&format!("/tasks/{}", wallet.task), None);
    let error = forger.client().wallet(wallet.key).await.unwrap_err();
    assert_eq!(error.code(), DISTRUSTED, "{error}");
    assert!(!forger.book().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wallet_under_a_name_that_is_in_the_book() {
    let forger = Forger::start().await;
    let ours = order(&forger.own, &OURS, 1);
    let theirs = order(&forger.stranger, &THEIRS, 2);
    let genuine = made(&ours, 77);
    let forged = made(&theirs, 100);
    forger.tell(&[(&ours, from_ref(&genuine))]);
    let client = forger.client();
    client.wallet(genuine.key).await.unwrap();
    let address = text(&command(&forger, &["address", "treasury"]).await.stdout);
    assert!(
        address.contains(&countersign_verify::address::solana(&genuine.root_public_key).unwrap())
    );

    // The genuine one vanishes from the list, and the forged one has its name.
    forger.tell(&[(&theirs, from_ref(&forged))]);
    assert_eq!(client.find_wallet("treasury").await.unwrap(), genuine);
    assert_eq!(
        text(&command(&forger, &["address", "treasury"]).await.stdout),
        address
    );
    let listed = client.wallets().await.unwrap();
    let standing = |key| {
        &listed
            .iter()
            .find(|one| one.wallet.key == key)
            .unwrap()
            .standing
    };
    assert!(
        matches!(standing(forged.key), Standing::Refused(_)),
        "{listed:?}"
    );
    assert!(
        matches!(standing(genuine.key), Standing::Untold),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_list_in_the_place_of_another() {
    let forger = Forger::start().await;
    let ours = order(&forger.own, &OURS, 1);
    let theirs = order(&forger.stranger, &THEIRS, 2);
    let genuine = made(&ours, 77);
    let forged = made(&theirs, 100);
    forger.tell(&[(&ours, from_ref(&genuine))]);
    // The id is answered with another wallet altogether.
    forger.answer(
        &format!("/wallets/{}", genuine.key),
        Some(json!({ "announcement": forged })),
    );
    forger.answer(
        &format!("/tasks/{}", forged.task),
        Some(json!(view(&theirs, forged.task))),
    );
    let error = forger.client().wallet(genuine.key).await.unwrap_err();
    assert_eq!(error.code(), "answer", "{error}");
    assert!(!forger.book().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_of_an_earlier_version_with_a_wallet_that_was_believed_unseen() {
    let forger = Forger::start().await;
    let theirs = order(&forger.stranger, &THEIRS, 1);
    let forged = made(&theirs, 100);
    forger.tell(&[(&theirs, from_ref(&forged))]);
    write_book_v1(&forger.book(), &forged);
    let shown = command(&forger, &["address", "treasury"]).await;
    assert_eq!(
        (shown.status.code(), text(&shown.stdout)),
        (Some(3), String::new())
    );
    assert_eq!(
        forger.client().wallet(forged.key).await.unwrap_err().code(),
        DISTRUSTED
    );

    // One that the profile describes is taken over.
    let ours = order(&forger.own, &OURS, 2);
    let genuine = made(&ours, 77);
    let other = made(&ours, 78);
    write_book_v1(&forger.book(), &genuine);
    forger.tell(&[(&ours, &[other])]);
    assert_eq!(
        forger
            .client()
            .wallet(genuine.key)
            .await
            .unwrap_err()
            .code(),
        INVALID,
        "another root key"
    );
    forger.tell(&[(&ours, from_ref(&genuine))]);
    assert_eq!(
        forger.client().find_wallet("treasury").await.unwrap(),
        genuine
    );
    let belief = forger.client().belief(genuine.key).unwrap().unwrap();
    assert_eq!((belief.ground, belief.members.len()), (Ground::Profile, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_of_ours_is_believed_by_its_id_and_then_by_its_name() {
    let forger = Forger::start().await;
    let own = order(&forger.own, &OURS, 1);
    let colleague = order(&forger.colleague, &OURS, 2);
    for (order, number) in [(&own, 1), (&colleague, 2)] {
        let first = made(order, 77);
        let all = [first.clone(), moved(&first, &[1, 2, 4], &[1, 3])];
        forger.tell(&[(order, &all)]);
        let client = forger.client();
        assert!(matches!(
            client.wallets().await.unwrap()[0].standing,
            Standing::New
        ));
        assert_eq!(
            client.find_wallet("treasury").await.unwrap_err().code(),
            "usage",
            "not by the list"
        );
        assert_eq!(client.wallet(first.key).await.unwrap(), all[1]);
        assert_eq!(client.find_wallet("treasury").await.unwrap(), all[1]);
        let belief = client.belief(first.key).unwrap().unwrap();
        assert_eq!((belief.ground, belief.members.len()), (Ground::Profile, 4));
        assert_eq!(
            belief.order.unwrap().requester,
            order.parse().unwrap().requester
        );
        let shown = text(
            &command(&forger, &["wallet", "show", "treasury"])
                .await
                .stdout,
        );
        assert!(shown.contains("in the profile"), "{number}: {shown}");
        std::fs::remove_file(forger.book()).unwrap();
    }
}

/// A believed wallet is followed with the acknowledgements of its quorum and nothing else; a
/// stranger's are not enough.
#[tokio::test(flavor = "multi_thread")]
async fn what_succeeds_a_believed_wallet_needs_its_quorum() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let first = made(&order, 77);
    forger.tell(&[(&order, from_ref(&first))]);
    let client = forger.client();
    client.wallet(first.key).await.unwrap();
    let forged = moved(&first, &THEIRS, &[1]);
    forger.tell(&[(&order, &[first.clone(), forged])]);
    assert_eq!(
        client.newest_wallet(first.key).await.unwrap_err().code(),
        INVALID
    );
    assert_eq!(client.wallet(first.key).await.unwrap(), first);
    let handed = moved(&first, &THEIRS, &[1, 2]);
    forger.tell(&[(&order, &[first.clone(), handed.clone()])]);
    assert_eq!(client.newest_wallet(first.key).await.unwrap(), handed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_word_is_for_what_the_person_was_shown() {
    let forger = Forger::start().await;
    let theirs = order(&forger.stranger, &THEIRS, 1);
    let wallet = made(&theirs, 77);
    let id = wallet.key.to_string();
    forger.tell(&[(&theirs, from_ref(&wallet))]);
    let shown = json_of(&forger, &["wallet", "trust", &id]).await;
    assert_eq!(
        (&shown["trusted"], shown["doubts"].as_array().unwrap().len()),
        (&json!(false), 4)
    );
    assert!(!forger.book().exists(), "looking is not trusting");
    let fingerprint = shown["fingerprint"].as_str().unwrap().to_owned();
    let confirm = [
        "wallet",
        "trust",
        &id,
        "--confirm",
        &fingerprint,
        "--reason",
        "read to me by Erin",
    ];

    forger.tell(&[(&theirs, &[made(&theirs, 100)])]);
    let other = command(&forger, &confirm).await;
    assert_eq!(other.status.code(), Some(1), "{}", text(&other.stderr));
    assert!(!forger.book().exists() && text(&other.stderr).contains("fingerprint"));
    for args in [
        &["wallet", "trust", "treasury"][..],
        &["wallet", "trust", &id, "--confirm", &fingerprint],
        &[
            "wallet",
            "trust",
            &id,
            "--confirm",
            &fingerprint,
            "--reason",
            " ",
        ],
    ] {
        forger.tell(&[(&theirs, from_ref(&wallet))]);
        let output = command(&forger, args).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(!forger.book().exists());
    }

    let trusted = json_of(&forger, &confirm).await;
    assert_eq!(trusted["trusted"], true, "{trusted}");
    let belief = forger.client().belief(wallet.key).unwrap().unwrap();
    assert_eq!(belief.ground, Ground::Trusted);
    assert_eq!(belief.reason.as_deref(), Some("read to me by Erin"));
    assert_eq!(belief.members, wallet.committee.members());
    assert_eq!(
        forger.client().find_wallet("treasury").await.unwrap(),
        wallet
    );
    assert!(
        command(&forger, &["address", "treasury"])
            .await
            .status
            .success()
    );
    // No word helps against what does not fit together.
    let broken = SigningKey::from_bytes(&[9; 32]);
    let mut bad = made(&order(&forger.stranger, &THEIRS, 3), 77);
    bad = acked_with(bad.clone(), bad.committee.members(), |_| broken.clone());
    forger.tell(&[(&order(&forger.stranger, &THEIRS, 3), from_ref(&bad))]);
    let output = command(&forger, &["wallet", "trust", &bad.key.to_string()]).await;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

/// The book has everything that a new coordinator needs, and that others need to believe it:
/// order and all generations.
#[tokio::test(flavor = "multi_thread")]
async fn the_book_is_handed_to_a_coordinator_that_was_made_anew() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let first = made(&order, 77);
    let second = moved(&first, &[1, 2, 4], &[1, 3]);
    let third = moved(&second, &[2, 4], &[1, 2]);
    forger.tell(&[(&order, &[first.clone(), second.clone()])]);
    let client = forger.client();
    client.wallet(first.key).await.unwrap();
    forger.tell(&[(&order, &[first.clone(), second.clone(), third.clone()])]);
    client.newest_wallet(first.key).await.unwrap();
    let known = json_of(&forger, &["wallet", "push"]).await;
    assert_eq!(known["wallets"][0]["coordinator"], "had it already");
    assert!(forger.handed_in().is_empty());

    forger.tell(&[]);
    let pushed = json_of(&forger, &["wallet", "push", "treasury"]).await;
    assert_eq!(pushed["wallets"][0]["coordinator"], "has it now");
    let handed_in = forger.handed_in();
    let [(path, body)] = &handed_in[..] else {
        panic!("{handed_in:?}")
    };
    assert_eq!(
        (path.as_str(), &body["generations"]),
        ("/wallets", &json!([first, second, third]))
    );
    let text = body["order"]["task"].as_str().unwrap();
    assert_eq!(text.as_bytes(), order.bytes);
    assert_eq!(
        command(&forger, &["wallet", "push", "cold"])
            .await
            .status
            .code(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_not_what_its_order_says() {
    let forger = Forger::start().await;
    let order = order(&forger.own, &OURS, 1);
    let id = made(&order, 77).task;
    let honest = view(&order, id);
    let path = format!("/tasks/{id}");
    forger.answer(&path, Some(json!(honest)));
    forger.client().task(id).await.unwrap();
    let forge = |change: &dyn Fn(&mut countersign_client::api::TaskView)| {
        let mut forged = honest.clone();
        change(&mut forged);
        forged
    };
    for forged in [
        forge(&|view| view.summary.operation = OperationKind::KeySign.into()),
        forge(&|view| view.summary.requester = forger.stranger.id()),
        forge(&|view| {
            view.summary.wallet = countersign_protocol::KeyId::from_bytes([1; 16]).unwrap()
        }),
        forge(&|view| view.signature = [1; 64].into()),
        forge(&|view| view.task = view.task.replace("treasury", "trezory")),
    ] {
        forger.answer(&path, Some(json!(forged)));
        assert_eq!(
            forger.client().task(id).await.unwrap_err().code(),
            "invalid-result"
        );
        assert_eq!(
            command(&forger, &["task", "show", &id.to_string()])
                .await
                .status
                .code(),
            Some(3)
        );
    }
}

async fn json_of(forger: &Forger, args: &[&str]) -> Value {
    json(&command(forger, &[args, &["--json"]].concat()).await)
}
