//! The digest of an accepted document, compared with another
//! implementation of EIP-712, `alloy-dyn-abi`.
//!
//! Alloy reads less than the standard allows in some places, and in one it computes something else.
//! Each such kind is a [`Difference`], found in the document by its own rule, and has a test with a
//! digest of other libraries. The shown form of a document is compared as well, so that a plugin
//! that reads it with other means reads what is signed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_dyn_abi::TypedData;
use serde_json::Value;

/// Documents with more types than this, or more structs if each is written out wherever it is
/// referred to, are not given to alloy.
const MOST_TYPES: usize = 64;
const MOST_STRUCTS: usize = 256;
const DOMAIN: &str = "EIP712Domain";

/// Why alloy may refuse a document that is accepted, or compute another digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// A byte order mark before the text.
    Mark,
    /// A JSON number of more than 64 bits, which its JSON library reads as floating point. In
    /// quotes it is read exactly.
    LongNumber,
    /// A struct that can hold itself. "The standard supports recursive struct types" (EIP-712);
    /// alloy has no type for a value of one.
    Recursive,
    /// A domain whose `verifyingContract` or `salt` is a text, as signed on chains other than EVM
    /// chains. Alloy only knows the standard's members, and does not look at the
    /// type of the domain.
    TextDomain,
    /// A message that has the type of the domain in it, where the document leaves that
    /// type to the reader.
    DomainInside,
    /// "The set of referenced struct types is collected, sorted by name and appended" (EIP-712).
    /// Alloy sorts the encoded types, bracket included, so that `A$(…)` comes before `A(…)`.
    Order,
    /// Types that refer to each other so often that alloy, which writes them out in
    /// full, would not end.
    Wide,
}

/// Panics if alloy computes another digest of `document` than `digest`, or refuses it without a
/// known reason. `shown` is the form for plugins.
pub(super) fn agrees(document: &[u8], digest: &[u8], shown: &str) {
    let known = differences(document);
    if known.contains(&Difference::Wide) {
        return;
    }
    let text = String::from_utf8_lossy(document);
    let is_excused = |hash: [u8; 32]| hash == digest || known.contains(&Difference::Order);
    match signing_hash(document) {
        Ok(hash) => assert!(is_excused(hash), "alloy has another digest: {text}"),
        Err(error) => {
            assert!(
                known.iter().any(|it| *it != Difference::Order),
                "alloy refuses it: {error}: {text}"
            );
        }
    }
    match signing_hash(quoted_numbers(shown).as_bytes()) {
        Ok(hash) => assert!(
            is_excused(hash),
            "alloy has another digest of what is shown: {shown}"
        ),
        Err(error) => {
            let lasting = [Difference::Recursive, Difference::TextDomain];
            assert!(
                lasting.iter().any(|it| known.contains(it)),
                "alloy refuses what is shown: {error}: {shown}"
            );
        }
    }
}

fn signing_hash(document: &[u8]) -> Result<[u8; 32], String> {
    let document: TypedData =
        serde_json::from_slice(document).map_err(|error| error.to_string())?;
    document
        .eip712_signing_hash()
        .map(|hash| hash.0)
        .map_err(|error| error.to_string())
}

/// All that applies to a document that was accepted.
fn differences(document: &[u8]) -> BTreeSet<Difference> {
    let plain = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let json: Value = serde_json::from_slice(plain).expect("JSON");
    let primary = json["primaryType"].as_str().expect("a text");
    let types = Types::of(&json);
    let reached = types.reached(primary);
    if reached.len() > MOST_TYPES {
        return [Difference::Wide].into();
    }
    let recursive = reached
        .iter()
        .chain([&primary])
        .any(|name| types.reached(name).contains(name));
    let wide = !recursive && types.written_out(primary, &mut BTreeMap::new()) > MOST_STRUCTS;
    let found = [
        (plain.len() < document.len(), Difference::Mark),
        (has_long_number(&json), Difference::LongNumber),
        (recursive, Difference::Recursive),
        (types.text_in_domain(), Difference::TextDomain),
        (
            json["types"].get(DOMAIN).is_none() && reached.contains(DOMAIN),
            Difference::DomainInside,
        ),
        (types.sorted_otherwise(primary), Difference::Order),
        (wide, Difference::Wide),
    ];
    found
        .into_iter()
        .filter_map(|(applies, difference)| applies.then_some(difference))
        .collect()
}

/// The members of each type: name, and type without the array around it.
struct Types<'a>(BTreeMap<&'a str, Vec<(&'a str, &'a str)>>);

impl<'a> Types<'a> {
    fn of(json: &'a Value) -> Self {
        let text = |member: &'a Value, name: &str| member[name].as_str().expect("a text");
        let members = |list: &'a Value| {
            let list = list.as_array().expect("a list").iter();
            list.map(|it| {
                (
                    text(it, "name"),
                    text(it, "type").split('[').next().unwrap_or_default(),
                )
            })
            .collect()
        };
        let types = json["types"].as_object().expect("an object");
        Types(
            types
                .iter()
                .map(|(name, list)| (name.as_str(), members(list)))
                .collect(),
        )
    }

    /// These include types of members that are not defined here, hence built in.
    fn directly(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .get(name)
            .into_iter()
            .flatten()
            .map(|(_, kind)| *kind)
    }

    /// Every type that a value of `name` can have inside. `name` itself only if
    /// it refers to itself.
    fn reached(&self, name: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<_> = self.directly(name).collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.directly(next));
            }
        }
        found
    }

    fn text_in_domain(&self) -> bool {
        let members = self.0.get(DOMAIN).into_iter().flatten();
        members
            .into_iter()
            .any(|member| [("verifyingContract", "string"), ("salt", "string")].contains(member))
    }

    /// True if the types that some type refers to sort differently when the bracket counts. `$`
    /// alone sorts before it.
    fn sorted_otherwise(&self, primary: &str) -> bool {
        let all = self.reached(primary);
        all.iter().copied().chain([primary]).any(|name| {
            let mut others = self.reached(name);
            others.remove(name);
            let longer = |one: &str, two: &str| {
                two.strip_prefix(one)
                    .is_some_and(|rest| rest.starts_with('$'))
            };
            others
                .iter()
                .any(|one| others.iter().any(|two| longer(one, two)))
        })
    }

    /// Number of structs in `name`, each counted as often as it is referred to. Only for types
    /// that do not hold themselves.
    fn written_out(&self, name: &'a str, counted: &mut BTreeMap<&'a str, usize>) -> usize {
        if let Some(count) = counted.get(name) {
            return *count;
        }
        let inner: Vec<_> = self
            .directly(name)
            .filter(|kind| self.0.contains_key(kind))
            .collect();
        let count = inner.into_iter().fold(1, |sum: usize, kind| {
            sum.saturating_add(self.written_out(kind, counted))
        });
        counted.insert(name, count);
        count
    }
}

/// A whole number beyond 64 bits; others are not accepted.
fn has_long_number(json: &Value) -> bool {
    match json {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_long_number),
        Value::Object(members) => members.values().any(has_long_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// The text with every number in quotes. Outside of strings only numbers have digits.
fn quoted_numbers(json: &str) -> String {
    let mut quoted = String::new();
    let mut in_string = false;
    let mut escaped = false;
    let mut in_number = false;
    for letter in json.chars() {
        let is_digit = !in_string && (letter == '-' || letter.is_ascii_digit());
        if is_digit != in_number {
            quoted.push('"');
        }
        in_number = is_digit;
        quoted.push(letter);
        in_string ^= letter == '"' && !escaped;
        escaped = in_string && letter == '\\' && !escaped;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use countersign_payload::{Intent, Networks, decode};
    use countersign_protocol::{Payload, PayloadKind, Scheme};

    use super::super::signer;
    use super::*;

    /// Types as EIP-712 encodes them, one behind the other; the first is the message's.
    fn document(types: &str, domain: &str, message: &str) -> String {
        let types = types.split_terminator(')').map(|one| {
            let (name, members) = one.split_once('(').expect("a type");
            let members = members.split_terminator(',').map(|member| {
                let (kind, name) = member.split_once(' ').expect("a member");
                format!(r#"{{"name":"{name}","type":"{kind}"}}"#)
            });
            (
                name,
                format!(r#""{name}":[{}]"#, members.collect::<Vec<_>>().join(",")),
            )
        });
        let (names, types): (Vec<_>, Vec<_>) = types.unzip();
        let primary = names[0];
        format!(
            r#"{{"types":{{{}}},"primaryType":"{primary}","domain":{domain},"message":{message}}}"#,
            types.join(",")
        )
    }

    /// Returns the digest to sign, and the shown form.
    fn accepted(document: &str) -> ([u8; 32], String) {
        let payload = Payload::new(PayloadKind::Eip712, document.as_bytes().to_vec());
        let key = signer::key(Scheme::EcdsaSecp256k1);
        let decoded = decode(
            &key,
            &"m".parse().expect("a path"),
            &payload,
            &Networks::default(),
        );
        let decoded = decoded.unwrap_or_else(|error| panic!("{document}: {error}"));
        let Intent::TypedData(data) = decoded.intent else {
            panic!("typed data is shown as such")
        };
        (
            decoded.inputs[0]
                .signed_bytes
                .as_slice()
                .try_into()
                .expect("32 bytes"),
            data.json,
        )
    }

    const APP: &str = r#"{"name":"App"}"#;
    const APP_TYPE: &str = "EIP712Domain(string name)";

    /// Every kind, with the digest that libraries compute which accept the document. By hand, with
    /// ethers 6.17, viem 2.57, eth-account 0.14 and MetaMask's eth-sig-util 8: all four without the
    /// mark and for `Wide`; eth-account for `LongNumber`, and all four if it is in quotes; viem and
    /// MetaMask for `TextDomain` and the recursive ones, eth-account for the first of these; viem
    /// for `DomainInside`; all but MetaMask for `Order`, which takes the name of a type to end
    /// before `$` and `:`.
    fn known() -> Vec<(Difference, String, &'static str)> {
        let whole =
            |types: &str, message: &str| document(&format!("{types}{APP_TYPE}"), APP, message);
        let text_domain = r#"{"verifyingContract":"cosmos","salt":"0"}"#;
        let text_type = "EIP712Domain(string verifyingContract,string salt)";
        let wide: String = (0..9)
            .map(|at| format!("T{at}(T{0}[] a,T{0}[] b)", at + 1))
            .collect();
        vec![
            (
                Difference::Mark,
                format!("\u{feff}{}", whole("M(string x)", r#"{"x":"1"}"#)),
                "df902c8e68354edb1541deb6ada41e6d761e5fd4d0955d077039a36a78be7c1a",
            ),
            (
                Difference::LongNumber,
                whole("M(uint256 x)", r#"{"x":18446744073709551617}"#),
                "9a751d411328d46d12ae0bac44a41971b7800346c53f86264d5ec2ff420c82c2",
            ),
            (
                Difference::Recursive,
                whole("N(string x,N[] c)", r#"{"x":"r","c":[{"x":"l","c":[]}]}"#),
                "bacdbb1c7c63cd896a9ad0488a460bd451f393738739cbe60d85f319485db6bf",
            ),
            (
                Difference::Recursive,
                whole("N(O[] c)O(N[] d)", r#"{"c":[{"d":[]}]}"#),
                "bbfbc409cafbd9c5cdd94c5a5897ecd0b271e8d50ab75e1fac4bc55edc9c6690",
            ),
            (
                Difference::TextDomain,
                document(
                    &format!("M(string x){text_type}"),
                    text_domain,
                    r#"{"x":"1"}"#,
                ),
                "b8f3d55f6b7a9142a45f31af5c5043c8715d3d1c1e3f1b6c077eae7ac3f18ab5",
            ),
            (
                Difference::DomainInside,
                document("M(EIP712Domain x)", APP, r#"{"x":{"name":"y"}}"#),
                "79fecd35ec5e163124d00afac89fc976dfed04846172f7341c06d083cf4a231a",
            ),
            (
                Difference::Order,
                whole(
                    "M(A a,A$ b)A(string x)A$(string x)",
                    r#"{"a":{"x":"1"},"b":{"x":"2"}}"#,
                ),
                "3dbc6f9fe1148c204030af75a6cd34cb287c0b6597d4e49a72ee513c016b3f7a",
            ),
            (
                Difference::Wide,
                whole(&format!("{wide}T9(bool x)"), r#"{"a":[],"b":[]}"#),
                "be0e334d4c1d07f48407c62b9eb6597c1197c32345b7c13df3b21252f046eef4",
            ),
        ]
    }

    #[test]
    fn alloy_reads_less_in_these_cases_alone() {
        for (difference, document, digest) in known() {
            let (signed, shown) = accepted(&document);
            assert_eq!(hex::encode(signed), digest, "{difference:?}");
            assert_eq!(
                differences(document.as_bytes()),
                [difference].into(),
                "{document}"
            );
            agrees(document.as_bytes(), &signed, &shown);
            match difference {
                Difference::Wide => {}
                Difference::Order => assert_ne!(signing_hash(document.as_bytes()), Ok(signed)),
                _ => assert!(
                    signing_hash(document.as_bytes()).is_err(),
                    "alloy has learnt to read {difference:?}"
                ),
            }
        }
    }

    #[test]
    fn numbers_are_quoted_and_strings_stay() {
        let json = r#"{"a":[1,-20,"3\"4",true],"5":"\\","b":6}"#;
        assert_eq!(
            quoted_numbers(json),
            r#"{"a":["1","-20","3\"4",true],"5":"\\","b":"6"}"#
        );
    }

    #[test]
    #[should_panic(expected = "another digest")]
    fn another_digest_is_found() {
        let document = document(&format!("M(string x){APP_TYPE}"), APP, r#"{"x":"1"}"#);
        let (signed, shown) = accepted(&document);
        agrees(document.as_bytes(), &signed, &shown);
        agrees(document.as_bytes(), &[7; 32], &shown);
    }
}
