//! A minimal RLP reader for Ethereum transactions and their shown form, independent of
//! the libraries under test.

use countersign_payload::Intent;

/// An item: bytes, or a list.
enum Item<'a> {
    Bytes(&'a [u8]),
    List(Vec<Self>),
}

/// The shown form of an unsigned transaction agrees with its bytes.
pub(super) fn agrees(bytes: &[u8], intent: &Intent) {
    let Intent::Transaction(shown) = intent else {
        panic!("a transaction is shown as one")
    };
    // Positions of chain id, recipient and value, by type.
    let (chain, to, value, body) = match bytes[0] {
        1 => (0, 4, 5, &bytes[1..]),
        2..=4 => (0, 5, 6, &bytes[1..]),
        _ => (6, 3, 4, bytes),
    };
    let Some((Item::List(fields), [])) = item(body) else {
        panic!("one list, and nothing behind it")
    };
    let field = |at: usize| match &fields[at] {
        Item::Bytes(bytes) => *bytes,
        Item::List(_) => panic!("field {at} is a list"),
    };
    assert_eq!(shown.chain, format!("eip155:{}", decimal(field(chain))));
    assert_eq!(shown.unsigned, bytes, "plugins see what is signed");
    let to = format!("0x{}", hex::encode(field(to)));
    let amount = decimal(field(value));
    let paid = shown.destinations.iter().any(|it| {
        it.asset.is_empty()
            && it.amount == amount
            && (to == "0x" || it.address.eq_ignore_ascii_case(&to))
    });
    let called = shown
        .calls
        .iter()
        .any(|it| it.amount == amount && (to == "0x" || it.contract.eq_ignore_ascii_case(&to)));
    assert!(
        paid || called || amount == "0",
        "{amount} for {to} are not shown: {shown:?}"
    );
    assert!(paid || called, "nothing is shown of {to}: {shown:?}");
}

fn item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let long = |base: u8| {
        let (digits, rest) = rest.split_at_checked(usize::from(first - base))?;
        let length = digits.iter().try_fold(0usize, |sum, byte| {
            sum.checked_mul(256)?.checked_add(usize::from(*byte))
        });
        rest.split_at_checked(length?)
    };
    match first {
        0..=0x7f => Some((Item::Bytes(&bytes[..1]), rest)),
        0x80..=0xb7 => rest
            .split_at_checked(usize::from(first - 0x80))
            .map(|(it, rest)| (Item::Bytes(it), rest)),
        0xb8..=0xbf => long(0xb7).map(|(it, rest)| (Item::Bytes(it), rest)),
        0xc0..=0xf7 => {
            let (mut inside, rest) = rest.split_at_checked(usize::from(first - 0xc0))?;
            Some((Item::List(items(&mut inside)?), rest))
        }
        0xf8..=0xff => {
            let (mut inside, rest) = long(0xf7)?;
            Some((Item::List(items(&mut inside)?), rest))
        }
    }
}

fn items<'a>(inside: &mut &'a [u8]) -> Option<Vec<Item<'a>>> {
    let mut items = vec![];
    while !inside.is_empty() {
        let (next, rest) = item(inside)?;
        items.push(next);
        *inside = rest;
    }
    Some(items)
}

/// A number of any length, in decimal.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let sum = u32::from(*digit) * 256 + carry;
            (*digit, carry) = ((sum % 10) as u8, sum / 10);
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}
