//! A reshare end to end: new shares of a key for the same three nodes, from the order to the
//! commit, old shares destroyed.

use std::time::Duration;

use countersign_client::ReshareOrder;
use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster, Plugins, PrimeSource};

use crate::bare;
use crate::cluster::Nodes;
use crate::sample::{Effort, by_turns};
use crate::table::{Figure, Table};

/// Limit for the cost of a reshare beyond auxiliary information.
const LIMIT: Duration = Duration::from_millis(100);

/// Both kinds of scheme; the committee's auxiliary information is there.
pub async fn measure(effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    // `rules` allows reshares one by one; nothing asks them here.
    let plugins = Plugins::Unguarded;
    let limits = "{ prime_sets: 0, reshares: 10000 }".into();
    let blueprint = Blueprint {
        primes: PrimeSource::Fixture,
        plugins,
        limits,
        ..Blueprint::default()
    };
    let nodes = Nodes::run(Cluster::prepare(blueprint).await?).await?;
    for scheme in [Scheme::Ed25519, Scheme::EcdsaSecp256k1] {
        let wallet = nodes
            .cluster
            .create_wallet(scheme.name(), scheme, bare::THRESHOLD)
            .await?;
        nodes.settle().await?;
        let order = ReshareOrder::new(wallet.key, wallet.committee.clone(), wallet.threshold);
        let shares = bare::generate(scheme)?;
        let ours = async || Ok(nodes.client.reshare(&order, |_| {}).await.map(drop)?);
        let pair = by_turns(effort.keygens, ours, async || bare::reshare(&shares)).await?;
        let figure = Figure {
            asks: "p50 <= 100 ms",
            met: pair.ours.median() <= LIMIT,
        };
        table.compare(
            &format!("KeyReshare, {scheme}, the same committee"),
            &pair,
            &[figure],
        );
    }
    Ok(())
}
