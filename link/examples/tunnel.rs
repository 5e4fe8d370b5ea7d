//! Two nodes talk through a hub that relays their bytes and cannot read them:
//! `cargo run -p countersign-link --example tunnel`.

use std::error::Error;
use std::sync::Arc;

use countersign_link::{Hub, Identity, NodeLink, PeerKey, Tunnel, dial};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Real identities come from 32 random bytes, and keys are exchanged by their owners.
    let coordinator = Arc::new(Identity::from_seed(&[1; 32])?);
    let alice = Arc::new(Identity::from_seed(&[2; 32])?);
    let bob = Arc::new(Identity::from_seed(&[3; 32])?);

    let nodes = [alice.public(), bob.public()];
    let admit = Arc::new(move |key: &PeerKey| nodes.contains(key));
    let hub = Hub::bind("127.0.0.1:0".parse()?, &coordinator, admit, None)?;
    let hub = Arc::new(hub);
    tokio::spawn(welcome_all(hub.clone()));

    // Each node dials out, and accepts only the coordinator's key.
    let key = coordinator.public();
    let alice_link = dial::connect(hub.address(), &alice, key, b"hello").await?;
    let bob_link = dial::connect(hub.address(), &bob, key, b"hello").await?;

    // A relayed stream exists once both ends have asked for it.
    let (to_bob, to_alice) = tokio::try_join!(
        alice_link.pairs.open(bob.public()),
        bob_link.pairs.open(alice.public()),
    )?;
    // Mutual TLS 1.3 inside it. Each end proves its key to the other.
    let (mut alice_end, mut bob_end) = tokio::try_join!(
        Box::pin(Tunnel::establish(to_bob, &alice, bob.public())),
        Box::pin(Tunnel::establish(to_alice, &bob, alice.public())),
    )?;

    alice_end.send(b"hello, bob").await?;
    let frame = bob_end.recv().await?.ok_or("alice closed the tunnel")?;
    println!("bob received: {}", String::from_utf8_lossy(&frame));
    bob_end.send(b"hello, alice").await?;
    let frame = alice_end.recv().await?.ok_or("bob closed the tunnel")?;
    println!("alice received: {}", String::from_utf8_lossy(&frame));
    Ok(())
}

async fn welcome_all(hub: Arc<Hub>) {
    while let Some(node) = hub.accept().await {
        tokio::spawn(welcome(node));
    }
}

/// Answers the hello, and keeps the control stream open. A node counts as connected once it has
/// the answer.
async fn welcome(mut node: NodeLink) {
    while let Ok(Some(_)) = node.control.receiver.recv().await {
        if node.control.sender.send(b"welcome").await.is_err() {
            break;
        }
    }
}
