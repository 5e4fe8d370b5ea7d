//! The effect of a payload, in words and as JSON, as decoded here. Nothing of it is anybody's
//! claim.

use countersign_payload::{
    Call, Decoded, Destination, Grant, Intent, Rights, Transaction, TypedData,
};
use countersign_protocol::Payload;
use countersign_protocol::text::escaped;
use serde_json::{Value, json};

mod units;

/// Length in characters to which a long text is cut.
const EXCERPT: usize = 200;

/// Describes a payload for people. Long messages are cut.
pub fn lines(payload: &Payload, decoded: &Decoded) -> Vec<String> {
    lines_within(payload, decoded, EXCERPT)
}

/// Describes a payload for people, with messages as a whole.
pub fn lines_in_full(payload: &Payload, decoded: &Decoded) -> Vec<String> {
    lines_within(payload, decoded, usize::MAX)
}

/// Describes a payload for somebody who is to approve it: messages as a whole, and what a document,
/// a call or a digest contains besides what the other lines say of it.
pub fn whole(payload: &Payload, decoded: &Decoded) -> Vec<String> {
    let mut lines = lines_in_full(payload, decoded);
    match &decoded.intent {
        Intent::Transaction(does) => {
            let calls = does.calls.iter().filter(|call| !call.data.is_empty());
            lines.extend(calls.map(|call| {
                let data = hex::encode(&call.data);
                format!("  data of the call of {}: 0x{data}", call.contract)
            }));
        }
        Intent::TypedData(data) => {
            lines.push(format!("  the document: {}", escaped(&data.json)));
        }
        Intent::Message(_) | Intent::Opaque => {}
    }
    // A message that is signed as it is has been shown already.
    let is_shown =
        |bytes: &[u8]| matches!(&decoded.intent, Intent::Message(message) if message[..] == *bytes);
    let is_cut = |bytes: &[u8]| 2 * bytes.len() > EXCERPT;
    lines.extend(
        decoded
            .inputs
            .iter()
            .filter(|input| is_cut(&input.signed_bytes) && !is_shown(&input.signed_bytes))
            .map(|input| format!("  signed as a whole: {}", hex::encode(&input.signed_bytes))),
    );
    lines
}

fn lines_within(payload: &Payload, decoded: &Decoded, limit: usize) -> Vec<String> {
    let mut lines = match &decoded.intent {
        Intent::Transaction(does) => transaction_lines(does),
        Intent::Message(message) => vec![format!("{}: {}", payload.kind, excerpt(message, limit))],
        Intent::TypedData(data) => typed_data_lines(data),
        Intent::Opaque => vec!["BLIND: nobody can tell what is signed".into()],
    };
    lines.extend(decoded.inputs.iter().map(|input| {
        format!(
            "  signs {} with {}",
            excerpt_hex(&input.signed_bytes, EXCERPT),
            input.path
        )
    }));
    lines
}

/// Describes a payload for programs.
pub fn json(intent: &Intent) -> Value {
    match intent {
        Intent::Transaction(does) => json!({"transaction": {
            "chain": does.chain, "sources": does.sources, "fee": does.fee,
            "destinations": does.destinations.iter().map(destination_json).collect::<Vec<_>>(),
            "calls": does.calls.iter().map(call_json).collect::<Vec<_>>(),
            "grants": does.grants.iter().map(grant_json).collect::<Vec<_>>(),
            "unsigned": hex::encode(&does.unsigned),
        }}),
        Intent::Message(message) => json!({"message": hex::encode(message)}),
        Intent::TypedData(data) => json!({"typed_data": {
            "chain": data.chain, "verifying_contract": data.verifying_contract, "domain": data.domain,
            "primary_type": data.primary_type, "json": data.json, "rights": data.rights.name(),
            "meaning": data.meaning, "notes": data.notes,
            "grants": data.grants.iter().map(grant_json).collect::<Vec<_>>(),
        }}),
        Intent::Opaque => json!("opaque"),
    }
}

fn transaction_lines(does: &Transaction) -> Vec<String> {
    let from = if does.sources.is_empty() {
        String::new()
    } else {
        format!(" from {}", does.sources.join(", "))
    };
    let chain = &does.chain;
    let mut lines = vec![format!("transaction on {}{from}", units::chain(chain))];
    lines.extend(
        does.destinations
            .iter()
            .map(|to| destination_line(does, to)),
    );
    lines.extend(does.calls.iter().map(|call| call_line(chain, call)));
    lines.extend(does.grants.iter().map(grant_line));
    lines.extend(
        does.fee
            .iter()
            .map(|fee| format!("  pays a fee of at most {}", units::amount(chain, fee))),
    );
    lines
}

fn typed_data_lines(data: &TypedData) -> Vec<String> {
    let said = |text: &Option<String>| text.as_deref().map_or_else(|| "none".into(), escaped);
    let mut lines = vec![format!(
        "typed data {}: domain {}, chain {}, contract {}",
        escaped(&data.primary_type),
        said(&data.domain),
        said(&data.chain),
        said(&data.verifying_contract)
    )];
    let meaning = data.meaning.as_deref();
    lines.push(match data.rights {
        Rights::None => format!(
            "  {}: grants no rights",
            meaning.unwrap_or("a type that is known")
        ),
        Rights::Shown => format!("  {}:", meaning.unwrap_or("a type that is known")),
        Rights::Hidden => {
            format!(
                "  {}: the rights it grants are not shown here",
                meaning.unwrap_or("a type that is known")
            )
        }
        Rights::Unknown => {
            "  the rights that messages of this type grant are NOT KNOWN here".into()
        }
    });
    lines.extend(data.grants.iter().map(grant_line));
    lines.extend(data.notes.iter().map(|note| format!("  {}", escaped(note))));
    lines
}

fn destination_line(does: &Transaction, to: &Destination) -> String {
    let kept = if to.change {
        " (change, stays in the wallet)"
    } else {
        ""
    };
    let memo = to
        .memo
        .as_ref()
        .map_or(String::new(), |memo| memo_of(&does.chain, memo));
    let address = if to.address.is_empty() {
        "nobody"
    } else {
        &to.address
    };
    let amount = if to.asset.is_empty() {
        units::amount(&does.chain, &to.amount)
    } else {
        number_of(&to.amount, &to.asset)
    };
    let owner = does
        .owners
        .get(&to.address)
        .map_or(String::new(), |owner| format!(", an account of {owner}"));
    format!("  sends {amount} to {address}{owner}{memo}{kept}")
}

/// On Bitcoin a memo is the bytes of an `OP_RETURN`, in hexadecimal; most are text.
fn memo_of(chain: &str, memo: &str) -> String {
    let bytes = hex::decode(memo)
        .ok()
        .filter(|_| chain.starts_with("bip122:"));
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => format!(", memo {memo} (\"{}\")", escaped(&text)),
        None => format!(", memo {}", escaped(memo)),
    }
}

fn call_line(chain: &str, call: &Call) -> String {
    let method = call.method.clone().unwrap_or_else(|| {
        if call.selector.is_empty() {
            "an unnamed method".into()
        } else {
            format!("0x{}", hex::encode(&call.selector))
        }
    });
    let contract = if call.contract.is_empty() {
        "a new contract"
    } else {
        &call.contract
    };
    let value = if call.amount == "0" {
        String::new()
    } else {
        format!(" with {}", units::amount(chain, &call.amount))
    };
    let fields: Vec<String> = call
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let data = if fields.is_empty() {
        format!("{} bytes of data", call.data.len())
    } else {
        fields.join(", ")
    };
    format!("  calls {method} of {contract}{value}: {data}")
}

fn grant_line(grant: &Grant) -> String {
    let spender = &grant.spender;
    match (grant.asset.as_str(), &grant.amount) {
        ("", Some(amount)) if amount == "0" => {
            format!("  takes the account back from any delegate ({spender})")
        }
        ("", _) => {
            format!("  HANDS THE WHOLE ACCOUNT to {spender}, which may take everything it holds")
        }
        (asset, Some(amount)) => format!("  lets {spender} take {}", number_of(amount, asset)),
        (asset, None) if asset.contains("/erc721:") => {
            format!("  lets {spender} take EVERY TOKEN of {asset}")
        }
        (asset, None) => format!("  lets {spender} take ANY AMOUNT of {asset}"),
    }
}

/// An amount of an asset, or a token id. The standard of the token decides, and some calls are
/// encoded alike in two standards.
fn number_of(number: &str, asset: &str) -> String {
    if is_either(asset) {
        format!(
            "token number {number}, or the amount {number}{}, whichever it has",
            of(asset)
        )
    } else {
        format!("{number}{}", of(asset))
    }
}

/// True if a number of `asset` may be an amount or a token id: its contract may be of
/// ERC-20 or of ERC-721.
fn is_either(asset: &str) -> bool {
    asset.starts_with("eip155:") && asset.contains("/token:")
}

/// The decimals of an asset are not known here.
fn of(asset: &str) -> String {
    if asset.is_empty() {
        " (smallest unit)".into()
    } else {
        format!(" (smallest unit) of {asset}")
    }
}

fn destination_json(to: &Destination) -> Value {
    let told =
        json!({"address": to.address, "asset": to.asset, "memo": to.memo, "change": to.change});
    with_amount(told, &to.asset, Some(&to.amount))
}

fn call_json(call: &Call) -> Value {
    json!({
        "contract": call.contract, "selector": hex::encode(&call.selector), "method": call.method,
        "fields": call.fields.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(), "amount": call.amount, "data": hex::encode(&call.data),
    })
}

fn grant_json(grant: &Grant) -> Value {
    let told = json!({"spender": grant.spender, "asset": grant.asset});
    with_amount(told, &grant.asset, grant.amount.as_deref())
}

/// A possible token id is the member `number`, and `amount` is null, so that no program adds it up.
fn with_amount(mut told: Value, asset: &str, number: Option<&str>) -> Value {
    match number {
        Some(number) if is_either(asset) => {
            told["amount"] = Value::Null;
            told["number"] = number.into();
        }
        amount => told["amount"] = amount.into(),
    }
    told
}

fn excerpt(bytes: &[u8], limit: usize) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().count() > limit => {
            format!(
                "{}… ({} bytes)",
                escaped(&text.chars().take(limit).collect::<String>()),
                bytes.len()
            )
        }
        Ok(text) => escaped(text),
        Err(_) => excerpt_hex(bytes, limit),
    }
}

fn excerpt_hex(bytes: &[u8], limit: usize) -> String {
    match bytes.get(..limit / 2) {
        Some(first) => format!("0x{}… ({} bytes)", hex::encode(first), bytes.len()),
        None => format!("0x{}", hex::encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_unless_it_is_told_in_full() {
        let text = "pay ".repeat(100) + "eve";
        for (message, ends) in [
            (text.clone().into_bytes(), "eve"),
            ([&[0xff; 400][..], &[0xee, 0x0e]].concat(), "ee0e"),
        ] {
            let payload = Payload::new(countersign_protocol::PayloadKind::Message, message.clone());
            let decoded = Decoded {
                inputs: Vec::new(),
                intent: Intent::Message(message),
            };
            assert!(lines(&payload, &decoded)[0].ends_with("bytes)"));
            assert!(lines_in_full(&payload, &decoded)[0].ends_with(ends));
        }
    }

    #[test]
    fn whoever_approves_is_told_the_document_and_the_data_of_each_call() {
        let long = "x".repeat(5_000);
        let payload = Payload::new(countersign_protocol::PayloadKind::Eip712, Vec::new());
        let data = TypedData {
            chain: None,
            verifying_contract: None,
            domain: None,
            primary_type: "Mail".into(),
            json: format!("{{\"text\":\"{long}\u{202e}end\"}}"),
            grants: Vec::new(),
            rights: Rights::Unknown,
            meaning: None,
            notes: Vec::new(),
        };
        let decoded = Decoded {
            inputs: Vec::new(),
            intent: Intent::TypedData(data),
        };
        let told = whole(&payload, &decoded);
        assert!(told.starts_with(&lines_in_full(&payload, &decoded)));
        let last = told.last().unwrap();
        assert!(
            last.contains(&long) && last.ends_with("\\u{202e}end\"}"),
            "{last}"
        );
    }

    #[test]
    fn the_number_of_a_token_is_not_an_amount() {
        let either = "eip155:1/token:0xa0b8";
        let amount = |told: &Value| told["amount"].clone();
        let number = |told: &Value| told["number"].clone();
        for (asset, shown, expected) in [
            (either, Some("7"), (Value::Null, json!("7"))),
            (either, None, (Value::Null, Value::Null)),
            (
                "eip155:1/erc20:0xa0b8",
                Some("7"),
                (json!("7"), Value::Null),
            ),
            (
                "solana:mainnet/token:X",
                Some("7"),
                (json!("7"), Value::Null),
            ),
            ("", None, (Value::Null, Value::Null)),
        ] {
            let grant = Grant {
                spender: "0xeve".into(),
                asset: asset.into(),
                amount: shown.map(Into::into),
            };
            let told = grant_json(&grant);
            assert_eq!(
                (amount(&told), number(&told)),
                expected,
                "{asset} {shown:?}"
            );
        }
    }
}
