//! `just bench`: ours against the bare call, as ratios in one run, each beside the figure that
//! the design asks for.
//!
//! Ours and the bare call alternate, so that a noisy machine slows both. A missed figure is
//! reported in words; the exit code is other than 0 only if something could not be measured.
//! `--quick` repeats little, to check that the bench itself works.

mod bare;
mod beside;
mod cluster;
mod copies;
mod keygen;
mod many;
mod policy;
mod process;
mod reshare;
mod sample;
mod signing;
mod table;

use std::process::ExitCode;

use cluster::Nodes;
use sample::Effort;
use table::Table;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(effort) = effort(std::env::args().skip(1)) else {
        eprintln!("usage: ratios [--quick]");
        return ExitCode::from(2);
    };
    let mut table = Table::new(&effort);
    measure(&effort, &mut table).await;
    table.end()
}

/// `--bench` is added by cargo.
fn effort(arguments: impl Iterator<Item = String>) -> Option<Effort> {
    let mut effort = Effort::FULL;
    for argument in arguments {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => effort = Effort::QUICK,
            _ => return None,
        }
    }
    Some(effort)
}

async fn measure(effort: &Effort, table: &mut Table) {
    table.heading("Policy");
    let measured = policy::measure(effort, table).await;
    table.expect("policy", measured);

    table.heading("Nodes");
    let nodes = Nodes::start(table).await;
    let Some(nodes) = table.expect("a cluster", nodes) else {
        return;
    };

    table.heading("FROST, 2 of 3");
    let measured = signing::frost(effort, &nodes, table).await;
    table.expect("FROST signing", measured);
    let measured = keygen::frost(effort, &nodes, table).await;
    table.expect("FROST KeyGen", measured);
    let measured = signing::frost_among_many(effort, &nodes, table).await;
    table.expect("FROST signing with many wallets", measured);

    table.heading("ECDSA, 2 of 3");
    let measured = ecdsa(effort, &nodes, table).await;
    table.expect("ECDSA", measured);

    table.heading("Beside plugins that loop or count, Ed25519, 2 of 3");
    let measured = beside::measure(effort, table).await;
    table.expect("signing beside such plugins", measured);

    table.heading("KeyReshare, 2 of 3, unguarded");
    let measured = reshare::measure(effort, table).await;
    table.expect("KeyReshare", measured);

    table.heading("Among 2,000 keys");
    let measured = many::measure(effort, table).await;
    table.expect("many keys", measured);

    let Some(number) = table.expect("very many keys", copies::number(effort)) else {
        return;
    };
    table.heading(&format!("Among {number} copies of keys, Ed25519 and ECDSA"));
    let measured = copies::measure(effort, number, table).await;
    table.expect("very many keys", measured);
}

async fn ecdsa(effort: &Effort, nodes: &Nodes, table: &mut Table) -> anyhow::Result<()> {
    let (wallet, auxes) = keygen::first_ecdsa(nodes, table).await?;
    keygen::ecdsa(effort, nodes, wallet, table).await?;
    signing::ecdsa(effort, nodes, wallet, &auxes, table).await
}
