//! The endpoint between a wallet and a chain that do what a test tells them.

mod chain;
mod http;
mod signer;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{
    DISCONNECTED, INVALID_PARAMS, LIMIT, METHOD_NOT_FOUND, NOT_MADE, OTHER_CHAIN, PENDING,
    REJECTED, UNAUTHORIZED, UNKNOWN_CHAIN, UNSUPPORTED,
};
use super::{Coins, Endpoint, Settings, StartError, Upstream};
use chain::{Chain, Fate};
use signer::{Signer, account, nonce_of};

const TO: &str = "0x2222222222222222222222222222222222222222";

struct World {
    endpoint: Arc<Endpoint<Signer>>,
    chain: Chain,
    from: String,
}

impl World {
    async fn new() -> Self {
        Self::waiting(Duration::from_secs(60)).await
    }

    /// `wait`: how long callers wait.
    async fn waiting(wait: Duration) -> Self {
        let chain = Chain::start().await;
        let endpoint = Self::start(&chain, None, wait).await.unwrap();
        let from = account(0).text;
        Self {
            endpoint: Arc::new(endpoint),
            chain,
            from,
        }
    }

    async fn start(
        chain: &Chain,
        chain_id: Option<u64>,
        wait: Duration,
    ) -> Result<Endpoint<Signer>, StartError> {
        let settings = Settings {
            chain_id,
            max_fee: "0.1".parse::<Coins>().unwrap(),
            wait,
        };
        let upstream = Upstream::new(&chain.url).unwrap();
        let accounts = vec![account(0), account(1)];
        Endpoint::new(Signer::default(), accounts, upstream, settings, |_| ()).await
    }

    async fn body(&self, body: &str) -> Value {
        self.endpoint.answer(body.as_bytes()).await.unwrap()
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer = self.body(&call.to_string()).await;
        match answer.get("error") {
            Some(_) => Err(answer["error"].take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Sends so many wei to somebody, with these members besides.
    async fn pay(&self, wei: u64, more: Value) -> Result<Value, Value> {
        self.call("eth_sendTransaction", json!([self.payment(wei, more)]))
            .await
    }

    fn payment(&self, wei: u64, more: Value) -> Value {
        let mut transaction = json!({"from": self.from, "to": TO, "value": format!("{wei:#x}")});
        for (name, value) in more.as_object().unwrap() {
            transaction[name] = value.clone();
        }
        transaction
    }

    fn signer(&self) -> &Signer {
        self.endpoint.wallet()
    }

    /// The nonces of all transactions that were to be signed.
    fn nonces(&self) -> Vec<u64> {
        let asked = self.signer().asked();
        asked
            .iter()
            .map(|payload| nonce_of(&payload.bytes))
            .collect()
    }
}

fn code(answer: &Result<Value, Value>) -> i64 {
    answer.as_ref().unwrap_err()["code"].as_i64().unwrap()
}

#[tokio::test]
async fn a_node_with_these_accounts_is_what_tools_see() {
    let world = World::new().await;
    let addresses = [0, 1].map(|index| account(index).text.to_lowercase());
    for method in ["eth_accounts", "eth_requestAccounts"] {
        assert_eq!(world.call(method, json!([])).await, Ok(json!(addresses)));
    }
    assert_eq!(
        world.call("eth_chainId", json!([])).await,
        Ok(json!("0x7a69"))
    );
    assert_eq!(
        world.call("net_version", json!([])).await,
        Ok(json!("31337"))
    );
    let switch = async |chain: &str| {
        let params = json!([{"chainId": chain}]);
        world.call("wallet_switchEthereumChain", params).await
    };
    assert_eq!(switch("0x7a69").await, Ok(Value::Null));
    assert_eq!(code(&switch("0x1").await), UNKNOWN_CHAIN);
}

#[tokio::test]
async fn what_reads_is_passed_on_and_nothing_else_is() {
    let world = World::new().await;
    world.chain.heard();
    let params = json!([TO, "latest"]);
    assert_eq!(
        world.call("eth_getBalance", params.clone()).await,
        Ok(json!("0x7"))
    );
    assert_eq!(world.chain.heard(), [("eth_getBalance".to_owned(), params)]);
    let reverted = world.call("eth_call", json!([{"to": TO}, "latest"])).await;
    let expected = json!({"code": 3, "message": "execution reverted", "data": "0x08c379a0"});
    assert_eq!(reverted, Err(expected));
    world.chain.heard();
    for (method, expected) in [
        ("anvil_setBalance", UNSUPPORTED),
        ("personal_unlockAccount", UNSUPPORTED),
        ("eth_signTypedData_v3", UNSUPPORTED),
        ("eth_mine", METHOD_NOT_FOUND),
    ] {
        assert_eq!(
            code(&world.call(method, json!([])).await),
            expected,
            "{method}"
        );
    }
    assert_eq!(world.chain.heard(), []);
    assert!(world.signer().asked().is_empty());
}

#[tokio::test]
async fn a_transfer_is_filled_in_signed_and_sent_once() {
    let world = World::new().await;
    let hash = world.pay(5, json!({})).await.unwrap();
    let sent = world.chain.sent();
    assert_eq!((sent.len(), hash), (1, json!(chain::hash(&sent[0]))));
    let asked = world.signer().asked();
    let fields = signer::fields(&asked[0].bytes);
    // Chain 31337, nonce 0, a tip of 1 gwei, twice the base fee of 10 gwei with it, the estimate.
    let expected = [
        "7a69",
        "",
        "3b9aca00",
        "04e3b29200",
        "5208",
        &TO[2..],
        "05",
        "",
        "",
    ];
    assert_eq!(fields, expected);
    let legacy = json!({"gasPrice": "0x3", "gas": "0x5300", "nonce": "0x9", "data": "0xab"});
    world.pay(1, legacy).await.unwrap();
    let asked = world.signer().asked();
    let expected = ["09", "03", "5300", &TO[2..], "01", "ab", "7a69", "", ""];
    assert_eq!(signer::fields(&asked[1].bytes), expected);
}

#[tokio::test]
async fn a_contract_is_created() {
    let world = World::new().await;
    let from = &world.from;
    let creation = json!([{"from": from, "data": "0x6000", "type": "0x2"}]);
    world.call("eth_sendTransaction", creation).await.unwrap();
    let fields = signer::fields(&world.signer().asked()[0].bytes);
    assert_eq!(
        (&fields[5], &fields[7]),
        (&String::new(), &"6000".to_owned())
    );
}

#[tokio::test]
async fn a_transaction_that_is_only_signed_is_not_sent() {
    let world = World::new().await;
    let params = json!([world.payment(5, json!({}))]);
    let raw = world.call("eth_signTransaction", params).await.unwrap();
    let asked = world.signer().asked();
    assert_eq!(
        raw,
        json!(format!("0x{}", hex::encode(signer::signed(&asked[0]))))
    );
    assert!(world.chain.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_sends_of_one_account_use_each_nonce_once() {
    let world = Arc::new(World::new().await);
    // The upstream counts nothing of what it has taken.
    world.chain.counts(Some(3));
    let mut sends = tokio::task::JoinSet::new();
    for wei in 0..8 {
        let world = world.clone();
        sends.spawn(async move { world.pay(wei, json!({})).await.unwrap() });
    }
    let mut hashes = sends.join_all().await;
    hashes.sort_by_key(ToString::to_string);
    hashes.dedup();
    assert_eq!(hashes.len(), 8);
    assert_eq!(world.nonces(), (3..11).collect::<Vec<_>>());
    // The other account has its own nonces.
    let other = json!({"from": account(1).text});
    world.pay(1, other).await.unwrap();
    assert_eq!(world.nonces().last(), Some(&3));
}

#[tokio::test]
async fn an_order_that_is_refused_uses_no_nonce() {
    let world = World::new().await;
    world.signer().will(signer::rejected());
    let refused = world.pay(5, json!({})).await;
    assert_eq!(code(&refused), REJECTED);
    let data = &refused.unwrap_err()["data"];
    assert_eq!(
        (&data["code"], &data["node"]),
        (&json!("keysign-amount"), &json!("alice"))
    );
    world.signer().will(signer::failed());
    assert_eq!(code(&world.pay(5, json!({})).await), NOT_MADE);
    world.pay(5, json!({})).await.unwrap();
    assert_eq!(world.nonces(), [0, 0, 0]);
    assert_eq!(world.chain.sent().len(), 1);
}

#[tokio::test]
async fn a_pending_order_goes_on_and_the_same_request_takes_it_up() {
    let world = World::waiting(Duration::from_millis(300)).await;
    let let_go = world.signer().hold();
    let told = world.pay(5, json!({})).await;
    assert_eq!(code(&told), PENDING);
    let data = &told.unwrap_err()["data"];
    assert_eq!(
        (&data["pending"], &data["task"]),
        (&json!(true), &json!(signer::task()))
    );
    // A second one waits for its turn: nothing is ordered, and nothing failed.
    let behind = world.pay(6, json!({})).await;
    assert_eq!((code(&behind), world.signer().asked().len()), (PENDING, 1));
    assert_eq!(behind.unwrap_err()["data"]["task"], Value::Null);
    assert_eq!(world.endpoint.under_way().len(), 2);
    let_go.add_permits(10);
    let hash = world.pay(5, json!({})).await.unwrap();
    let next = world.pay(6, json!({})).await.unwrap();
    let sent = world.chain.sent();
    assert_eq!(
        [hash, next],
        [json!(chain::hash(&sent[0])), json!(chain::hash(&sent[1]))]
    );
    assert_eq!((sent.len(), world.nonces()), (2, vec![0, 1]));
    // Its result was handed over: the same request is another payment now.
    world.pay(5, json!({})).await.unwrap();
    assert_eq!(world.nonces(), [0, 1, 2]);
}

#[tokio::test]
async fn a_caller_that_left_and_repeats_its_request_pays_once() {
    let world = Arc::new(World::new().await);
    let let_go = world.signer().hold();
    let left = world.clone();
    let caller = tokio::spawn(async move { left.pay(5, json!({})).await });
    while world.signer().asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    caller.abort();
    caller.await.unwrap_err();
    let_go.add_permits(10);
    world.pay(5, json!({})).await.unwrap();
    assert_eq!(
        (world.signer().asked().len(), world.chain.sent().len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_transaction_whose_sending_was_not_answered_is_sent_again_unchanged() {
    let world = World::new().await;
    world.chain.will([Fate::TakenInSilence, Fate::Busy]);
    let hash = world.pay(5, json!({})).await.unwrap();
    let offered = world.chain.offered();
    assert_eq!(offered.len(), 3);
    assert!(offered.iter().all(|raw| raw == &offered[0]));
    assert_eq!(hash, json!(chain::hash(&offered[0])));
    assert_eq!(
        (world.signer().asked().len(), world.chain.sent().len()),
        (1, 1)
    );
    world.pay(6, json!({})).await.unwrap();
    assert_eq!(world.nonces(), [0, 1]);
}

#[tokio::test]
async fn a_transaction_that_the_chain_refuses_uses_no_nonce() {
    let world = World::new().await;
    world.chain.will([Fate::Refused]);
    let refused = world.pay(5, json!({})).await.unwrap_err();
    assert_eq!(refused["code"], -32000);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("insufficient funds")
    );
    assert!(refused["data"]["transactionHash"].is_string());
    world.pay(4, json!({})).await.unwrap();
    assert_eq!(world.nonces(), [0, 0]);
}

#[tokio::test]
async fn a_transaction_that_the_chain_lost_is_given_to_it_again() {
    let world = World::new().await;
    world.pay(5, json!({})).await.unwrap();
    world.chain.forget();
    world.pay(6, json!({})).await.unwrap();
    assert_eq!((world.nonces(), world.chain.sent().len()), (vec![0, 1], 2));
    // If it is not taken again, nobody can tell which of two the next one would replace.
    world.chain.forget();
    world.chain.will([Fate::Refused]);
    let refused = world.pay(7, json!({})).await;
    assert_eq!(code(&refused), NOT_MADE);
    assert_eq!(refused.unwrap_err()["data"]["nonce"], 1);
    assert_eq!(world.nonces(), [0, 1]);
    world.pay(7, json!({"nonce": "0x1"})).await.unwrap();
    assert_eq!(world.nonces(), [0, 1, 1]);
}

#[tokio::test]
async fn a_nonce_that_a_caller_chose_leaves_no_gap_and_is_not_used_again() {
    let world = World::new().await;
    world.chain.counts(Some(4));
    world.pay(1, json!({"nonce": "0x5"})).await.unwrap();
    for wei in 2..4 {
        world.pay(wei, json!({})).await.unwrap();
    }
    assert_eq!(world.nonces(), [5, 4, 6]);
    // Behind several nodes, one may lag.
    world.chain.counts(Some(7));
    world.pay(4, json!({})).await.unwrap();
    world.chain.counts(Some(6));
    world.pay(5, json!({})).await.unwrap();
    assert_eq!(world.nonces(), [5, 4, 6, 7, 8]);
}

#[tokio::test]
async fn no_transaction_is_made_for_another_chain() {
    let world = World::new().await;
    let other = world.pay(5, json!({"chainId": "0x1"})).await;
    assert_eq!(code(&other), INVALID_PARAMS);
    world.pay(5, json!({"chainId": "0x7a69"})).await.unwrap();
    world.chain.becomes(1);
    assert_eq!(code(&world.pay(5, json!({})).await), OTHER_CHAIN);
    assert_eq!(world.nonces(), [0]);
    let started = World::start(&world.chain, Some(31337), Duration::ZERO).await;
    assert!(matches!(
        started.map(drop),
        Err(StartError::Chain {
            told: 1,
            meant: 31337
        })
    ));
}

#[tokio::test]
async fn no_account_but_the_endpoints_own_is_used() {
    let world = World::new().await;
    let other = json!({"from": TO});
    assert_eq!(code(&world.pay(5, other).await), UNAUTHORIZED);
    for (method, params) in [
        ("personal_sign", json!(["0x6869", TO])),
        ("eth_sign", json!([TO, "0x6869"])),
        ("eth_signTypedData_v4", json!([TO, {}])),
    ] {
        assert_eq!(
            code(&world.call(method, params).await),
            UNAUTHORIZED,
            "{method}"
        );
    }
    assert!(world.signer().asked().is_empty());
}

#[tokio::test]
async fn a_fee_above_the_bound_is_refused_whoever_chose_it() {
    let world = World::new().await;
    // 0.1 coins for 21,000 gas are 4,761,904,761,904 wei for each.
    world
        .pay(4, json!({"gasPrice": "0x454b7a44c30"}))
        .await
        .unwrap();
    let given = world.pay(5, json!({"gasPrice": "0x454b7a44c31"})).await;
    assert_eq!(code(&given), INVALID_PARAMS);
    world.chain.asks(3_000_000_000_000);
    let proposed = world.pay(5, json!({})).await;
    assert_eq!(code(&proposed), INVALID_PARAMS);
    assert_eq!(proposed.unwrap_err()["data"]["code"], "fee-bound");
    assert_eq!(world.signer().asked().len(), 1);
}

#[tokio::test]
async fn a_message_is_never_signed_as_a_bare_hash() {
    let world = World::new().await;
    let hash = format!("0x{}", "11".repeat(32));
    let from = &world.from;
    let personal = world
        .call("personal_sign", json!([hash, from]))
        .await
        .unwrap();
    let eth_sign = world.call("eth_sign", json!([from, hash])).await.unwrap();
    assert_eq!(personal, eth_sign);
    for payload in world.signer().asked() {
        let kind = countersign_protocol::PayloadKind::Eip191;
        assert_eq!((payload.kind, payload.bytes), (kind, vec![0x11; 32]));
    }
}

#[tokio::test]
async fn typed_data_is_signed_for_the_endpoints_chain_alone() {
    let world = World::new().await;
    let document = |domain: Value, value: Value| {
        let types = json!({"Note": [{"name": "value", "type": "uint256"}], "EIP712Domain": [{"name": "chainId", "type": "uint256"}]});
        json!({"types": types, "primaryType": "Note", "domain": domain, "message": {"value": value}})
    };
    let sign = async |document: Value| {
        let params = json!([world.from, document]);
        world.call("eth_signTypedData_v4", params).await
    };
    let good = document(json!({"chainId": 31337}), json!("5"));
    sign(good.clone()).await.unwrap();
    sign(json!(good.to_string())).await.unwrap();
    let [one, other] = &world.signer().asked()[..] else {
        panic!("two orders")
    };
    assert_eq!(one, other);
    let elsewhere = document(json!({"chainId": 1}), json!("5"));
    assert_eq!(code(&sign(elsewhere).await), INVALID_PARAMS);
    // As a number it would lose digits on the way.
    let long: Value = serde_json::from_str("340282366920938463463374607431768211457").unwrap();
    let lossy = document(json!({"chainId": 31337}), long);
    assert_eq!(code(&sign(lossy).await), INVALID_PARAMS);
    assert_eq!(world.signer().asked().len(), 2);
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let world = World::new().await;
    let call = |id: usize, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let batch = json!([
        call(1, "eth_getBalance", json!([TO, "latest"])),
        call(2, "eth_sendTransaction", json!([world.payment(1, json!({}))])),
        call(3, "eth_chainId", json!([])),
        call(4, "eth_sendTransaction", json!([world.payment(2, json!({}))])),
        call(5, "eth_unknown", json!([])),
        {"jsonrpc": "2.0", "method": "eth_sendTransaction", "params": [world.payment(3, json!({}))]},
        7,
    ]);
    let answers = world.body(&batch.to_string()).await;
    let answers = answers.as_array().unwrap();
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(json!(ids), json!([1, 2, 3, 4, 5, null]));
    assert_eq!(answers[2]["result"], "0x7a69");
    assert_eq!(answers[4]["error"]["code"], METHOD_NOT_FOUND);
    let sent = world.chain.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(answers[1]["result"], chain::hash(&sent[0]));
    assert_eq!(answers[3]["result"], chain::hash(&sent[1]));
}

#[tokio::test]
async fn a_batch_of_orders_is_told_as_pending_at_one_time() {
    let world = World::waiting(Duration::from_millis(200)).await;
    let _held = world.signer().hold();
    let call = |id: u64| {
        let params = json!([world.payment(id, json!({}))]);
        json!({"jsonrpc": "2.0", "id": id, "method": "eth_sendTransaction", "params": params})
    };
    let batch: Vec<Value> = (0..64).map(call).collect();
    let answers = world.body(&json!(batch).to_string()).await;
    let pending = |answer: &Value| answer["error"]["code"] == PENDING;
    assert!(answers.as_array().unwrap().iter().all(pending), "{answers}");
    assert_eq!(world.signer().asked().len(), 1);
    // More orders than that at once are too many.
    assert_eq!(code(&world.pay(100, json!({})).await), LIMIT);
}

#[tokio::test]
async fn a_chain_that_is_away_is_told_as_such() {
    let world = World::new().await;
    world.chain.stop().await;
    assert_eq!(code(&world.pay(5, json!({})).await), DISCONNECTED);
    let read = world.call("eth_blockNumber", json!([])).await;
    assert_eq!(code(&read), DISCONNECTED);
    assert!(!read.unwrap_err().to_string().contains("secret"));
    assert!(world.signer().asked().is_empty());
}
