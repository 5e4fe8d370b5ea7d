//! Wallets that nodes hold and a coordinator does not know: the nodes are asked to show them.

use countersign_protocol::control::{Held, MAX_GENERATIONS, MAX_SHOWN};
use countersign_protocol::{Hash, KeyDescriptor, UnixMillis};

use super::intake::{anew, history};
use super::*;

fn held(wallet: &KeyDescriptor) -> Held {
    Held {
        key: wallet.key,
        generation: wallet.generation,
    }
}

impl World {
    fn known(&self, wallet: &KeyDescriptor) -> Option<KeyDescriptor> {
        self.app.registry.store().wallet(wallet.key).unwrap()
    }

    async fn knows(&self, wallet: &KeyDescriptor) {
        for _ in 0..500 {
            if self.known(wallet).as_ref() == Some(wallet) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the wallet never comes in");
    }
}

#[tokio::test]
async fn a_new_coordinator_learns_from_nodes_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let world = anew(dir.path());
    let all = history().1;
    let mut node = FakeNode::connect(&world, 3, vec![]).await;
    node.say(FromNode::Holds {
        keys: vec![held(&all[2])],
    })
    .await;
    let from_the_first = Held {
        generation: 0,
        ..held(&all[2])
    };
    assert_eq!(
        node.hear().await,
        ToNode::Show {
            keys: vec![from_the_first]
        }
    );
    // It was not a member of the first one, and has it from the reshare's order.
    node.say(FromNode::Generations {
        generations: all.clone(),
    })
    .await;
    world.knows(&all[2]).await;
    assert_eq!(
        world
            .app
            .registry
            .store()
            .generations(all[0].key, 0, 9)
            .unwrap(),
        all
    );
    let shown = world.get(&format!("/v1/wallets/{}", all[0].key)).await;
    assert_eq!(shown["generation"], 2);
    // Members that were passed over are told as ever, and holders of known keys
    // are asked for nothing.
    let mut behind = FakeNode::connect(&world, 2, vec![]).await;
    behind
        .say(FromNode::Holds {
            keys: vec![held(&all[0])],
        })
        .await;
    assert_eq!(
        behind.hear().await,
        ToNode::Replaced {
            generations: all[1..].to_vec()
        }
    );
    node.disconnect().await;
    behind.disconnect().await;
    drop(world);
    let world = anew(dir.path());
    let mut again = FakeNode::connect(&world, 0, vec![]).await;
    again
        .say(FromNode::Holds {
            keys: vec![held(&all[2])],
        })
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(again.hear.try_recv().is_err());
}

/// A node must show what it claims to hold: no operator is sent to a backup by one node's word.
#[tokio::test]
async fn invented_generations_are_believed_by_nobody_and_hinder_no_other_node() {
    let dir = tempfile::tempdir().unwrap();
    let world = anew(dir.path());
    let all = history().1;
    let mut liar = FakeNode::connect(&world, 4, vec![]).await;
    liar.say(FromNode::Holds {
        keys: vec![Held {
            generation: 9,
            ..held(&all[0])
        }],
    })
    .await;
    assert!(matches!(liar.hear().await, ToNode::Show { .. }));
    let mut forged = all.clone();
    let last = forged.pop().unwrap();
    forged.push(KeyDescriptor {
        public_shares: Hash([9; 32]),
        ..last
    });
    liar.say(FromNode::Generations {
        generations: forged,
    })
    .await;
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    node.say(FromNode::Holds {
        keys: vec![held(&all[2])],
    })
    .await;
    assert!(matches!(node.hear().await, ToNode::Show { .. }));
    assert_eq!(world.known(&all[0]), None);
    node.say(FromNode::Generations {
        generations: all.clone(),
    })
    .await;
    world.knows(&all[2]).await;
    // Nothing unrequested is imported.
    let other = {
        let order = sign_task(&task(5, UnixMillis(1), keygen()));
        descriptor(TaskId([5; 16]), order.hash())
    };
    node.say(FromNode::Generations {
        generations: vec![other.clone()],
    })
    .await;
    let too_many = vec![other.clone(); MAX_GENERATIONS + 1];
    node.say(FromNode::Generations {
        generations: too_many,
    })
    .await;
    assert!(matches!(node.end.await.unwrap(), End::Misbehaved(_)));
    assert_eq!(world.known(&other), None);
}

#[tokio::test]
async fn a_node_with_many_keys_is_asked_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let world = anew(dir.path());
    let wallets: Vec<KeyDescriptor> = (0..MAX_SHOWN as u8 + 5)
        .map(|number| {
            let order = sign_task(&task(number, UnixMillis(1), keygen()));
            descriptor(TaskId([number; 16]), order.hash())
        })
        .collect();
    let mut node = FakeNode::connect(&world, 0, vec![]).await;
    node.say(FromNode::Holds {
        keys: wallets.iter().map(held).collect(),
    })
    .await;
    let mut asked = 0;
    while asked < wallets.len() {
        let ToNode::Show { keys } = node.hear().await else {
            panic!("no question")
        };
        assert!(keys.len() <= MAX_SHOWN);
        asked += keys.len();
        let shown = |held: &Held| {
            wallets
                .iter()
                .find(|wallet| wallet.key == held.key)
                .cloned()
        };
        node.say(FromNode::Generations {
            generations: keys.iter().filter_map(shown).collect(),
        })
        .await;
    }
    for wallet in &wallets {
        world.knows(wallet).await;
    }
}
