//! Orders: made, signed, and read again.

use std::collections::BTreeMap;

use countersign_protocol::task::Collect;
use countersign_protocol::{
    ApproverId, Assertion, Committee, CommitteeError, DerivationPath, Hash, KeyDescriptor, KeyGen,
    KeyId, KeyReshare, KeyShareSign, KeySign, NodeId, Operation, OrderAssertion, OrderProof,
    Payload, RequesterId, Scheme, SignedTask, Task, TaskId, Threshold, UnixMillis,
};
use countersign_requester::order::{self, Remarks, Window};
use countersign_requester::profile::Chains;
use countersign_requester::proof::{self, Told};
use countersign_requester::{RequesterKey, VotingKey};
use countersign_vote::low_s;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::Failure;
use crate::pages::PinnedPages;
use crate::passkey::Passkey;
use crate::payload::Decoded;
use crate::vote;

/// An order as it travels: the exact text, and the requester's signature over its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    task: String,
    signature: OrderProof,
}

impl From<Order> for SignedTask {
    fn from(order: Order) -> Self {
        Self {
            bytes: order.task.into_bytes(),
            signature: order.signature,
        }
    }
}

impl Order {
    /// Reads an order of one's own: anybody else's is refused.
    pub fn of(self, own: RequesterId, pages: &PinnedPages) -> Result<(SignedTask, Task), Failure> {
        let order = SignedTask::from(self);
        let task = proof::check_requester(&order, pages.get()?)?;
        if task.requester != own {
            return Err(Failure::invalid("its order is not this requester's"));
        }
        Ok((order, task))
    }
}

/// A text that is wiped after use. Not `Clone`, not printable.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The requester key of which this is the text form.
    pub fn key(&self) -> Result<RequesterKey, Failure> {
        RequesterKey::parse(&self.0).map_err(|error| Failure::new("file", error))
    }

    /// The approver's key of which this is the text form.
    pub fn voting_key(&self) -> Result<VotingKey, Failure> {
        VotingKey::parse(&self.0).map_err(|error| Failure::new("file", error))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A text form of a requester key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyText {
    key: Secret,
}

/// The public half of a key.
#[derive(Serialize)]
pub struct Requester {
    requester: RequesterId,
}

/// The id of a requester key.
pub fn requester(KeyText { key }: KeyText) -> Result<Requester, Failure> {
    let requester = key.key()?.id();
    Ok(Requester { requester })
}

/// The id of a new passkey as a requester.
pub fn passkey(passkey: Passkey) -> Result<Requester, Failure> {
    let requester = RequesterId::new(passkey.key()?).map_err(Failure::usage)?;
    Ok(Requester { requester })
}

/// The id of a passkey as an approver.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SameKey {
    approver: ApproverId,
}

/// The id of an approver's key as a requester.
pub fn of_approver(SameKey { approver }: SameKey) -> Result<Requester, Failure> {
    let requester = RequesterId::new(*approver.key()).map_err(Failure::usage)?;
    Ok(Requester { requester })
}

/// 32 random bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    seed: Secret,
}

/// A new key in its text form, with its public half.
#[derive(Serialize)]
pub struct NewRequester {
    key: String,
    requester: RequesterId,
}

/// The key of a seed.
pub fn new_requester(Seed { seed }: Seed) -> Result<NewRequester, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(seed.0.as_bytes(), &mut bytes[..])
        .map_err(|_| Failure::usage("a seed has 32 bytes; give 64 hexadecimal digits"))?;
    let key = RequesterKey::from_seed(&bytes).map_err(Failure::usage)?;
    let text = RequesterKey::text_of(&bytes).map_err(Failure::usage)?;
    Ok(NewRequester {
        key: text.to_string(),
        requester: key.id(),
    })
}

/// The parts of an order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    key: Secret,
    /// 16 random bytes, never used before.
    id: TaskId,
    now: UnixMillis,
    life_ms: u64,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    /// Approvals by people that are collected before the nodes are asked.
    #[serde(default)]
    collect: Option<Collect>,
    operation: Ordered,
}

/// What is ordered. Nodes may be listed in any order.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Ordered {
    CreateWallet {
        name: String,
        scheme: Scheme,
        nodes: Vec<NodeId>,
        threshold: Threshold,
    },
    Sign {
        wallet: KeyId,
        path: DerivationPath,
        payload: Payload,
        #[serde(default)]
        signers: Option<Vec<NodeId>>,
    },
    Reshare {
        from: Box<KeyDescriptor>,
        nodes: Vec<NodeId>,
        threshold: Threshold,
        #[serde(default)]
        dealers: Option<Vec<NodeId>>,
    },
    CheckUp {
        wallet: KeyId,
        nodes: Vec<NodeId>,
    },
}

impl Ordered {
    fn operation(self) -> Result<Operation, CommitteeError> {
        Ok(match self {
            Self::CreateWallet {
                name,
                scheme,
                nodes,
                threshold,
            } => Operation::KeyGen(KeyGen {
                name,
                scheme,
                committee: Committee::new(nodes)?,
                threshold,
            }),
            Self::Sign {
                wallet,
                path,
                payload,
                signers,
            } => Operation::KeySign(KeySign {
                key: wallet,
                path,
                payload,
                signers,
            }),
            Self::Reshare {
                from,
                nodes,
                threshold,
                dealers,
            } => Operation::KeyReshare(Box::new(KeyReshare {
                from: *from,
                committee: Committee::new(nodes)?,
                threshold,
                dealers,
            })),
            Self::CheckUp { wallet, mut nodes } => {
                nodes.sort_unstable();
                Operation::KeyShareSign(KeyShareSign { key: wallet, nodes })
            }
        })
    }
}

/// A signed order, with what follows from its bytes.
#[derive(Serialize)]
pub struct Signed {
    #[serde(flatten)]
    order: Order,
    id: TaskId,
    hash: Hash,
    /// The wallet that it uses, or makes.
    wallet: KeyId,
}

/// Makes an order and signs its exact bytes.
pub fn sign(parts: Parts) -> Result<Signed, Failure> {
    let key = parts.key.key()?;
    let window = Window {
        now: parts.now,
        life_ms: parts.life_ms,
        collect: parts.collect,
    };
    let remarks = Remarks {
        note: parts.note,
        claims: parts.claims,
    };
    let operation = parts.operation.operation().map_err(Failure::usage)?;
    let order = order::sign(&key, parts.id, window, remarks, operation)?;
    let wallet = wallet(&order, &order.parse()?);
    Ok(Signed {
        id: parts.id,
        hash: order.hash(),
        wallet,
        order: Order {
            signature: order.signature,
            task: String::from_utf8(order.bytes).map_err(Failure::usage)?,
        },
    })
}

/// The parts of an order that a passkey is to sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composed {
    requester: RequesterId,
    /// 16 random bytes, never used before.
    id: TaskId,
    now: UnixMillis,
    life_ms: u64,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    /// Approvals by people that are collected before the nodes are asked.
    #[serde(default)]
    collect: Option<Collect>,
    operation: Ordered,
}

/// The exact text of an order, and the challenge for the passkey.
#[derive(Serialize)]
pub struct Message {
    task: String,
    #[serde(with = "hex::serde")]
    challenge: [u8; 32],
    id: TaskId,
    hash: Hash,
    /// The wallet that it uses, or makes.
    wallet: KeyId,
}

/// Makes an order for a passkey to sign. An error says why no node would accept it.
pub fn message(parts: Composed) -> Result<Message, Failure> {
    if !parts.requester.is_passkey() {
        return Err(Failure::usage(
            "the requester is no passkey; sign with its key",
        ));
    }
    let window = Window {
        now: parts.now,
        life_ms: parts.life_ms,
        collect: parts.collect,
    };
    let remarks = Remarks {
        note: parts.note,
        claims: parts.claims,
    };
    let operation = parts.operation.operation().map_err(Failure::usage)?;
    let task = order::compose(parts.requester, parts.id, window, remarks, operation);
    let unsigned = unsigned(task.to_bytes());
    Ok(Message {
        challenge: SignedTask::signed_message(&unsigned.bytes),
        id: parts.id,
        hash: unsigned.hash(),
        wallet: wallet(&unsigned, &unsigned.parse()?),
        task: String::from_utf8(unsigned.bytes).map_err(Failure::usage)?,
    })
}

fn unsigned(bytes: Vec<u8>) -> SignedTask {
    SignedTask {
        bytes,
        signature: [0; 64].into(),
    }
}

/// The exact text of an order that is to be signed, and the wallet that it uses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigned {
    task: String,
    /// Absent if the order makes one.
    #[serde(default)]
    wallet: Option<KeyDescriptor>,
    #[serde(default)]
    chains: Chains,
}

/// What these bytes order, for the person who is to sign them.
#[derive(Serialize)]
pub struct Preview {
    #[serde(flatten)]
    ordered: AsOrdered,
    /// Null if it signs nothing.
    decoded: Option<Decoded>,
}

/// Reads an order and decodes its effect before anybody signs it.
pub fn preview(ask: Unsigned) -> Result<Preview, Failure> {
    let order = unsigned(ask.task.into_bytes());
    let task = order.parse()?;
    let decoded = match (&task.operation, &ask.wallet) {
        (Operation::KeyGen(_), _) => None,
        (_, Some(wallet)) => vote::effect(&task.operation, wallet, &ask.chains)?,
        (_, None) => return Err(Failure::usage("the order uses a wallet; give it")),
    };
    Ok(Preview {
        ordered: AsOrdered::new(&order, task),
        decoded,
    })
}

/// What an authenticator returned for the challenge of an order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// The exact text of the order.
    task: String,
    /// The pages that may ask passkeys.
    passkeys: PinnedPages,
    #[serde(with = "hex::serde")]
    client_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    authenticator_data: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// Makes an order of it, and checks it as nodes do.
pub fn from_assertion(returned: Returned) -> Result<Signed, Failure> {
    returned.passkeys.needed()?;
    let assertion = OrderAssertion::new(Assertion {
        client_data: returned.client_data,
        authenticator_data: returned.authenticator_data,
        signature: low_s(&returned.signature).map_err(not_made)?,
    });
    let order = SignedTask {
        bytes: returned.task.into_bytes(),
        signature: assertion.map_err(not_made)?.into(),
    };
    let task = proof::check_requester(&order, returned.passkeys.get()?).map_err(not_made)?;
    Ok(Signed {
        id: task.id,
        hash: order.hash(),
        wallet: wallet(&order, &task),
        order: Order {
            signature: order.signature,
            task: String::from_utf8(order.bytes).map_err(Failure::usage)?,
        },
    })
}

fn not_made(error: impl ToString) -> Failure {
    Failure::new("order-not-made", error)
}

/// A task as it was ordered, and nobody's word but the requester's.
#[derive(Serialize)]
pub struct AsOrdered {
    #[serde(flatten)]
    task: Task,
    hash: Hash,
    wallet: KeyId,
}

/// An order, and the pages on which passkeys may have signed it.
#[derive(Deserialize)]
pub struct Read {
    #[serde(flatten)]
    order: Order,
    #[serde(default)]
    passkeys: PinnedPages,
}

/// Reads an order: the requester named in it signed it. Does not judge who that is.
pub fn read(Read { order, passkeys }: Read) -> Result<AsOrdered, Failure> {
    let order = SignedTask::from(order);
    let task = proof::check_requester(&order, passkeys.get()?)?;
    Ok(AsOrdered::new(&order, task))
}

impl AsOrdered {
    /// What was ordered by these bytes, whose signature is verified.
    pub fn new(order: &SignedTask, task: Task) -> Self {
        Self {
            hash: order.hash(),
            wallet: wallet(order, &task),
            task,
        }
    }
}

/// A coordinator's view of a task. What else is in it is not looked at.
#[derive(Deserialize)]
pub struct View {
    id: TaskId,
    view: ToldWithOrder,
    #[serde(default)]
    passkeys: PinnedPages,
}

#[derive(Deserialize)]
struct ToldWithOrder {
    #[serde(flatten)]
    told: Told,
    #[serde(flatten)]
    order: Order,
}

/// Checks a coordinator's view of a task against the order in it.
pub fn told(View { id, view, passkeys }: View) -> Result<AsOrdered, Failure> {
    let order = SignedTask::from(view.order);
    let task = proof::check_told(id, &view.told, &order, passkeys.get()?)?;
    Ok(AsOrdered::new(&order, task))
}

fn wallet(order: &SignedTask, task: &Task) -> KeyId {
    match &task.operation {
        Operation::KeyGen(_) => KeyId::of_task(&order.hash()),
        Operation::KeySign(sign) => sign.key,
        Operation::KeyReshare(reshare) => reshare.from.key,
        Operation::KeyShareSign(check_up) => check_up.key,
    }
}
