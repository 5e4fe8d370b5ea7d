//! `countersign connect`, as far as it gets with a wallet that signs for neither chain: what is
//! refused before anything is served.

use serde_json::Value;

use crate::cluster::Mood;
use crate::{ready, run, text};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_that_could_not_be_used_or_that_others_could_use() {
    let (cluster, ..) = ready(Mood::Honest).await;
    let evm = ["connect", "evm", "hot", "--path", "m/44/60/0/0/0"];
    let rpc = ["--rpc", "http://127.0.0.1:9/secret", "--listen"];
    for (more, said) in [
        (&[][..], "--rpc"),
        (&[rpc[0], "ws://127.0.0.1:9/secret"], "http or https"),
        (&[rpc[0], rpc[1], rpc[2], "0.0.0.0:0"], "loopback"),
        (&[rpc[0], rpc[1], rpc[2], "[::]:0"], "loopback"),
        (&[rpc[0], rpc[1], "--origin", "*"], "not an origin"),
        (&[rpc[0], rpc[1], "--max-fee", "lots"], "amount"),
        (&["--rpc-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (&[rpc[0], rpc[1], rpc[2], "127.0.0.1:0"], "ecdsa-secp256k1"),
    ] {
        let output = run(&cluster, &[&evm[..], more].concat()).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {told}");
        assert!(told.contains(said) && !told.contains("secret"), "{told}");
        assert!(output.stdout.is_empty(), "{more:?}");
    }
}

/// Core shows the first line on stderr. Others read the JSON.
#[tokio::test(flavor = "multi_thread")]
async fn bitcoin_core_is_told_why_there_is_no_signer() {
    let (cluster, ..) = ready(Mood::Honest).await;
    for (args, said) in [
        (&["hot", "enumerate"][..], "signs nothing of Bitcoin"),
        (&["cold", "enumerate"], "no wallet in the wallet book"),
        (&["hot", "--json", "enumerate"], "signs nothing of Bitcoin"),
        (&["hot"], "give a command"),
        (&["hot", "--stdin"], "standard input has no command"),
    ] {
        let output = run(&cluster, &[&["connect", "bitcoin"], args].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let reason = told["error"].as_str().unwrap();
        assert!(reason.contains(said), "{reason}");
        assert_eq!(told["code"], "usage");
        assert_eq!(text(&output.stderr), format!("error: {reason}\n"));
    }
}
