//! Documents of EIP-712 made from the input, so that every input is nearly a document: any types,
//! any values of them, every way to write a number, and occasional oddities that
//! no real document has.
//!
//! The input decides wherever there is a choice. Zeros, which an input ends with, choose
//! short and sound values.

use alloy_primitives::{Address, U256};
use countersign_protocol::{PayloadKind, Scheme};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::payload::{place, run as run_payload, seed};
use crate::input::Input;

/// Names of types. The standard sorts by them.
const NAMES: [&str; 10] = [
    "Mail",
    "A",
    "A$",
    "A:B",
    "Ab",
    "A_",
    "$",
    "_0",
    "Hyper:Tx:",
    "m",
];
/// Names that some readers take for built-in types, or for something of their own.
const ODD_NAMES: [&str; 10] = [
    "uint",
    "int",
    "bytes33",
    "uint08",
    "function",
    "string",
    "EIP712Domain",
    "tuple",
    "__proto__",
    "2",
];
const MEMBERS: [&str; 8] = ["a", "from", "to", "x:y", "$", "_", "wallets", "toString"];
/// The domain's members in the standard's order.
const DOMAIN: [(&str, Atomic); 5] = [
    ("name", Atomic::Text),
    ("version", Atomic::Text),
    ("chainId", Atomic::Uint(256)),
    ("verifyingContract", Atomic::Address),
    ("salt", Atomic::FixedBytes(32)),
];
/// Texts in place of a number that some readers accept and others do not.
const ODD_NUMBERS: [&str; 16] = [
    r#""0X1""#,
    r#""+1""#,
    r#""1_0""#,
    r#"" 1""#,
    "1.0",
    "1e1",
    r#""""#,
    r#""0x""#,
    r#""-""#,
    r#""-0""#,
    r#""0b1""#,
    r#""0o7""#,
    "null",
    "true",
    "[]",
    r#""-0x1""#,
];
/// Deeper, dynamic lists are empty.
const DEPTH: usize = 6;
/// A longer message gets no further elements, and at twice the length no further members.
const LONG: usize = 8 << 10;

/// Builds the document and treats it as any other.
pub(super) fn run(input: &[u8]) -> bool {
    let document = Writer::new(input).document();
    run_payload::<{ place(PayloadKind::Eip712) }>(&seed(
        Scheme::EcdsaSecp256k1,
        document.as_bytes(),
    ))
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let random = |number: u64| {
        let mut bytes = vec![0; 400];
        StdRng::seed_from_u64(number).fill_bytes(&mut bytes);
        bytes
    };
    (0..40).map(random).collect()
}

#[derive(Clone, Copy)]
enum Atomic {
    Uint(usize),
    Int(usize),
    FixedBytes(usize),
    Bytes,
    Text,
    Bool,
    Address,
}

impl std::fmt::Display for Atomic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uint(bits) => write!(f, "uint{bits}"),
            Self::Int(bits) => write!(f, "int{bits}"),
            Self::FixedBytes(size) => write!(f, "bytes{size}"),
            Self::Bytes => f.write_str("bytes"),
            Self::Text => f.write_str("string"),
            Self::Bool => f.write_str("bool"),
            Self::Address => f.write_str("address"),
        }
    }
}

#[derive(Clone, Copy)]
enum Base {
    Atomic(Atomic),
    /// Index in the list of types.
    Struct(usize),
}

struct Member {
    name: &'static str,
    base: Base,
    /// Lengths of lists, the innermost first; none for those of any length.
    lists: Vec<Option<usize>>,
}

struct Struct {
    name: &'static str,
    members: Vec<Member>,
}

struct Writer<'a> {
    input: Input<'a>,
    types: Vec<Struct>,
    /// Length of the message so far.
    written: usize,
}

impl<'a> Writer<'a> {
    fn new(input: &'a [u8]) -> Self {
        Writer {
            input: Input::new(input),
            types: Vec::new(),
            written: 0,
        }
    }

    fn document(mut self) -> String {
        self.types = self.structs();
        let message = self.value(Base::Struct(0), 0);
        let (domain, domain_type) = self.domain();
        let types = self
            .types
            .iter()
            .map(|it| self.type_json(it))
            .chain(domain_type);
        let types = types.collect::<Vec<_>>().join(",");
        let primary = self.types[0].name;
        let mark = if self.rarely() { "\u{feff}" } else { "" };
        let further = if self.rarely() { r#","account":7"# } else { "" };
        format!(
            r#"{mark}{{"types":{{{types}}},"primaryType":"{primary}","domain":{domain},"message":{message}{further}}}"#
        )
    }

    /// True now and then, and never at the end of the input.
    fn rarely(&mut self) -> bool {
        self.input.byte() >= 0xf0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.input.byte()) % bound
    }

    fn structs(&mut self) -> Vec<Struct> {
        let count = 1 + self.below(6);
        let first = self.below(NAMES.len());
        let mut structs: Vec<Struct> = Vec::new();
        for at in 0..count {
            let usual = NAMES[(first + at) % NAMES.len()];
            let name = if self.rarely() {
                self.input.choose(&ODD_NAMES)
            } else {
                usual
            };
            structs.push(Struct {
                name,
                members: self.members(at, count),
            });
        }
        structs
    }

    /// Members of the type at this index. Later types are used freely, others only in lists of
    /// any length, which end.
    fn members(&mut self, at: usize, count: usize) -> Vec<Member> {
        let first = self.below(MEMBERS.len());
        let members = 0..self.below(6);
        members
            .map(|number| self.member(MEMBERS[(first + number) % MEMBERS.len()], at, count))
            .collect()
    }

    fn member(&mut self, name: &'static str, at: usize, count: usize) -> Member {
        let mut lists: Vec<_> = (0..self.below(6).saturating_sub(3))
            .map(|_| self.length())
            .collect();
        let base = match self.below(8) {
            0..=3 => Base::Atomic(self.atomic()),
            // Alloy does not read recursive types, so these are few.
            4 => Base::Struct(self.below(count)),
            _ if at + 1 == count => Base::Atomic(self.atomic()),
            _ => Base::Struct(at + 1 + self.below(count - at - 1)),
        };
        let goes_back = matches!(base, Base::Struct(to) if to <= at);
        if goes_back && !lists.contains(&None) && !self.rarely() {
            lists.push(None);
        }
        Member { name, base, lists }
    }

    fn length(&mut self) -> Option<usize> {
        match self.below(4) {
            length @ 1..=3 if !self.rarely() => Some(length),
            1 => Some(0),
            _ => None,
        }
    }

    fn atomic(&mut self) -> Atomic {
        match self.below(7) {
            0 => Atomic::Uint(8 * (1 + self.below(32))),
            1 => Atomic::Int(8 * (1 + self.below(32))),
            2 => Atomic::FixedBytes(1 + self.below(32)),
            3 => Atomic::Bytes,
            4 => Atomic::Text,
            5 => Atomic::Bool,
            _ => Atomic::Address,
        }
    }

    fn type_json(&self, of: &Struct) -> String {
        let members = of.members.iter().map(|member| {
            let base = match member.base {
                Base::Atomic(atomic) => atomic.to_string(),
                Base::Struct(at) => self.types[at].name.to_string(),
            };
            let lists = member
                .lists
                .iter()
                .map(|length| length.map_or("[]".into(), |length| format!("[{length}]")));
            format!(
                r#"{{"name":"{}","type":"{base}{}"}}"#,
                member.name,
                lists.collect::<String>()
            )
        });
        format!(
            r#""{}":[{}]"#,
            of.name,
            members.collect::<Vec<_>>().join(",")
        )
    }

    fn value(&mut self, base: Base, depth: usize) -> String {
        match base {
            Base::Atomic(atomic) => self.atom(atomic),
            Base::Struct(_) if depth > 2 * DEPTH || self.written > 2 * LONG => "{}".into(),
            Base::Struct(at) => {
                self.written += 8;
                let mut members = Vec::new();
                for number in 0..self.types[at].members.len() {
                    let Member {
                        name,
                        base,
                        ref lists,
                    } = self.types[at].members[number];
                    let lists = lists.clone();
                    if !self.rarely() || !self.rarely() {
                        members.push(format!(
                            r#""{name}":{}"#,
                            self.list(base, &lists, depth + 1)
                        ));
                    }
                }
                if self.rarely() {
                    members.push(r#""undeclared":[{"a":1}]"#.into());
                }
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn list(&mut self, base: Base, lists: &[Option<usize>], depth: usize) -> String {
        let Some((outermost, inner)) = lists.split_last() else {
            return self.value(base, depth);
        };
        let length = match outermost {
            Some(length) => *length,
            None if depth > DEPTH || self.written > LONG => 0,
            None => self.below(4),
        };
        self.written += 2;
        let values: Vec<_> = (0..length)
            .map(|_| self.list(base, inner, depth + 1))
            .collect();
        format!("[{}]", values.join(","))
    }

    fn atom(&mut self, atomic: Atomic) -> String {
        let text = match atomic {
            Atomic::Uint(bits) => self.number(bits, false),
            Atomic::Int(bits) => self.number(bits, true),
            Atomic::FixedBytes(size) => {
                let size = if self.rarely() { size + 1 } else { size };
                self.bytes(size)
            }
            Atomic::Bytes => {
                let size = self.below(40);
                self.bytes(size)
            }
            Atomic::Text => self.text(),
            Atomic::Bool => self
                .input
                .choose(&["true", "false", "true", "false", r#""true""#])
                .into(),
            Atomic::Address => self.address(),
        };
        self.written += text.len();
        text
    }

    /// A number that fits in most cases.
    fn number(&mut self, bits: usize, signed: bool) -> String {
        let room = if signed { bits - 1 } else { bits };
        let most = if room == 256 {
            U256::MAX
        } else {
            (U256::ONE << room) - U256::ONE
        };
        let (size, negative) = match self.below(8) {
            0 => (U256::ZERO, false),
            1 => (most, false),
            2 => (most.wrapping_add(U256::ONE), signed),
            3 if self.rarely() => (most.wrapping_add(U256::ONE), false),
            choice => (
                U256::from_be_bytes(self.input.array::<32>()) & most,
                signed && choice > 5,
            ),
        };
        let sign = if negative { "-" } else { "" };
        match self.below(8) {
            0 | 1 => format!("{sign}{size}"),
            2 => format!(r#""{sign}0x{size:x}""#),
            3 => format!(r#""{sign}0x{size:064X}""#),
            4 => format!(r#""{sign}0x000{size:064x}""#),
            5 => format!(r#""{sign}00{size}""#),
            6 if self.rarely() => self.input.choose(&ODD_NUMBERS).into(),
            _ => format!(r#""{sign}{size}""#),
        }
    }

    fn bytes(&mut self, size: usize) -> String {
        let bytes: Vec<u8> = (0..size).map(|_| self.input.byte()).collect();
        let digits = if self.below(2) == 0 {
            hex::encode(bytes)
        } else {
            hex::encode_upper(bytes)
        };
        format!(r#""{}{digits}""#, if self.rarely() { "" } else { "0x" })
    }

    fn address(&mut self) -> String {
        let address = Address::from(self.input.array::<20>());
        match self.below(4) {
            0 | 1 => format!(r#""{address:?}""#),
            2 => format!(r#""{address}""#),
            _ if self.rarely() => format!(r#""{}""#, address.to_string().replacen('a', "A", 1)),
            _ => format!(r#""0x{}""#, hex::encode_upper(address)),
        }
    }

    fn text(&mut self) -> String {
        let length = self.below(24);
        let bytes: Vec<u8> = (0..length).map(|_| self.input.byte()).collect();
        serde_json::Value::from(String::from_utf8_lossy(&bytes)).to_string()
    }

    /// The domain, and its type if the document gives it.
    fn domain(&mut self) -> (String, Option<String>) {
        let chosen = self.input.byte();
        let mut members: Vec<_> = DOMAIN
            .into_iter()
            .enumerate()
            .filter(|(at, _)| chosen >> at & 1 == 1)
            .map(|(_, member)| member)
            .collect();
        if self.rarely() {
            members.reverse();
        }
        let mut values = Vec::new();
        let mut types = Vec::new();
        for (name, usual) in members {
            let kind = if self.rarely() { Atomic::Text } else { usual };
            let value = if self.rarely() {
                r#""cosmos""#.into()
            } else {
                self.atom(usual)
            };
            values.push(format!(r#""{name}":{value}"#));
            types.push(format!(r#"{{"name":"{name}","type":"{kind}"}}"#));
        }
        let declared = self.below(4) != 1;
        (
            format!("{{{}}}", values.join(",")),
            declared.then(|| format!(r#""EIP712Domain":[{}]"#, types.join(","))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_the_documents_are_accepted() {
        let accepted = seeds().iter().filter(|seed| run(seed)).count();
        assert!(accepted >= 10, "{accepted} of {}", seeds().len());
        assert!(run(&[]), "zeros choose what is sound");
    }
}
