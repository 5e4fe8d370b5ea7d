//! Orders for a coordinator, followed to their end and verified.

mod audit;
mod follow;
mod preflight;
mod reshare;
mod voting;
mod wallets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_payload::{BitcoinForm, Decoded, Finished, Networks};
use countersign_protocol::task::Collect;
use countersign_protocol::{
    Committee, KeyDescriptor, KeyGen, KeyId, NodeId, Operation, Passkeys, RequesterId, Scheme,
    Signed, SignedTask, Task, TaskId, Threshold, UnixMillis,
};
use countersign_requester::belief::Believed;
pub use countersign_requester::count::{Count, Finding, Judged};
use countersign_requester::order::{self, Remarks, SignOrder, Window};
use countersign_requester::proof::{self, PinnedPages, Told};
use countersign_verify::result;
use countersign_vote::RelyingParty;
use rand::RngCore;
use tokio::time::Instant;

use crate::access::Credentials;
use crate::api::{
    Api, NodeView, Open, PartyView, State, TaskFilter, TaskPage, TaskResult, TaskSummary, TaskView,
};
use crate::book::Book;
use crate::error::ClientError;
use crate::profile::Profile;
use crate::requester_key::RequesterKey;
use crate::utc;
pub use audit::verify_audit;
pub use follow::{Feed, News};
pub use reshare::{CheckUp, ReshareOrder};
pub use voting::{Examined, VoteError};
pub use wallets::{Listed, Pushed, Standing};

/// Default lifetime of an order for a wallet: the first one of a committee may wait for prime
/// numbers and for other wallets. The nodes have their own limits and report their progress.
const WALLET: Duration = Duration::from_secs(3600);
/// Default lifetime of an order for a signature.
const SIGNATURE: Duration = Duration::from_secs(120);
/// Additional time for each further signature of the same order.
const FURTHER: Duration = Duration::from_secs(5);
/// Time for the coordinator to report the end of an expired order.
const REPORT: Duration = Duration::from_secs(5);
/// Limit of one long poll, in seconds.
const LONG_POLL: u64 = 25;
/// Pause between two attempts while the coordinator is away.
const AWAY: Duration = Duration::from_millis(500);

/// A requester at one coordinator.
pub struct Client {
    api: Api,
    requester: Option<Arc<RequesterKey>>,
    book: Book,
    profile: Profile,
    networks: Networks,
    timeout: Option<Duration>,
    collect: Option<Collect>,
    pages: Option<RelyingParty>,
}

/// An order that is not signed yet, and its default lifetime.
struct Draft {
    operation: Operation,
    remarks: Remarks,
    life: Duration,
}

/// An order for a new wallet.
#[derive(Debug, Clone)]
pub struct NewWallet {
    /// A name for people, at most 64 bytes.
    pub name: String,
    /// Curve and kind of its signatures.
    pub scheme: Scheme,
    /// The nodes that will hold it.
    pub committee: Committee,
    /// Number of nodes that must sign.
    pub threshold: Threshold,
    /// A remark for nodes' plugins and people.
    pub note: Option<String>,
    /// Statements for nodes' plugins, by name; see
    /// [`Task::claims`](countersign_protocol::Task::claims).
    pub claims: BTreeMap<String, String>,
}

impl NewWallet {
    fn draft(&self) -> Draft {
        Draft {
            operation: Operation::KeyGen(KeyGen {
                name: self.name.clone(),
                scheme: self.scheme,
                committee: self.committee.clone(),
                threshold: self.threshold,
            }),
            remarks: Remarks {
                note: self.note.clone(),
                claims: self.claims.clone(),
            },
            life: WALLET,
        }
    }
}

/// Verified signatures: all that were ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Id of the task behind them.
    pub task: TaskId,
    /// Id of the wallet that signed.
    pub wallet: KeyId,
    /// The scheme, which determines the encoding.
    pub scheme: Scheme,
    /// Each signature with the key under which it verifies.
    pub signed: Signed,
}

impl Client {
    /// Reads the keys that the profile names. Without a requester key it can only read.
    pub fn new(profile: Profile) -> Result<Self, ClientError> {
        let requester = profile
            .requester_key_file
            .as_deref()
            .map(RequesterKey::load)
            .transpose()?
            .map(Arc::new);
        let credentials = Credentials::of(&profile, requester.as_ref())?;
        let ca = profile.coordinator_ca.as_deref();
        let api = Api::with(&profile.coordinator, credentials, ca)?;
        let book = Book::new(&profile.wallet_book);
        let networks = profile.chains.networks().map_err(|error| {
            ClientError::Usage(format!("{error} under `chains` in the profile"))
        })?;
        let pages = profile.passkeys.as_ref().map(|pages| {
            RelyingParty::new(&pages.rp_id, pages.origins.clone()).map_err(|error| {
                ClientError::Usage(format!("{error} under `passkeys` in the profile"))
            })
        });
        let pages = pages.transpose()?;
        Ok(Self {
            api,
            requester,
            book,
            profile,
            networks,
            timeout: None,
            collect: None,
            pages,
        })
    }

    /// Limits the lifetime of an order, and the wait for it. The default is an hour for a
    /// wallet, 2 minutes for a signature and 5 s for each further one.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self.api.limit(timeout.map(|timeout| timeout + REPORT));
        self
    }

    /// Has people approve each order before its nodes are asked. The order then lives for its usual
    /// time after the end of the votes, and is waited for as long, unless
    /// [`with_timeout`](Self::with_timeout) limits the wait.
    #[must_use]
    pub fn with_collect(mut self, collect: Option<Collect>) -> Self {
        self.collect = collect;
        self
    }

    /// The approvals of [`Self::with_collect`].
    pub fn collect(&self) -> Option<&Collect> {
        self.collect.as_ref()
    }

    /// The limit of [`Self::with_timeout`].
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The profile that it was created with.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The networks of chains whose transactions do not name theirs.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Id of the requester; absent without a requester key.
    pub fn requester(&self) -> Option<RequesterId> {
        self.requester.as_ref().map(|key| key.id())
    }

    /// Creates a wallet, verifies it, and writes it into the wallet book. `progress` sees the
    /// task at every change.
    pub async fn create_wallet(
        &self,
        new: &NewWallet,
        progress: impl FnMut(&TaskView),
    ) -> Result<KeyDescriptor, ClientError> {
        let (order, view) = self.carry_out(new.draft(), progress).await?;
        let task = view.summary.id;
        let invalid = |reason: String| ClientError::Invalid { task, reason };
        let Some(TaskResult::Created(wallet)) = view.result.and_then(Open::into_known) else {
            return Err(invalid("there is no wallet in it".into()));
        };
        self.book
            .record(&Believed::ordered(&wallet, &order, self.passkeys(), now())?)?;
        Ok(*wallet)
    }

    /// Decodes the payload of an order: the signatures that it needs, and its effect. An error says
    /// why nobody signs it.
    pub async fn decode(&self, order: &SignOrder) -> Result<Decoded, ClientError> {
        let wallet = self.wallet(order.wallet).await?;
        self.decode_for(&wallet, order)
    }

    /// Has the payload signed, and verifies each signature under the child key derived here.
    /// `progress` sees the task at every change.
    pub async fn sign(
        &self,
        order: &SignOrder,
        mut progress: impl FnMut(&TaskView),
    ) -> Result<Signature, ClientError> {
        let wallet = self.wallet(order.wallet).await?;
        let inputs = self.decode_for(&wallet, order)?.inputs;
        let draft = sign_draft(order, inputs.len());
        let mut last = None;
        let progress = |view: &TaskView| {
            last = Some(view.nodes.clone());
            progress(view);
        };
        let carried_out = self.carry_out(draft, progress).await;
        let (_, view) =
            carried_out.map_err(|error| with_others(error, &wallet, &last.unwrap_or_default()))?;
        let task = view.summary.id;
        let invalid = |reason: String| ClientError::Invalid { task, reason };
        let Some(TaskResult::Signed(signed)) = view.result.and_then(Open::into_known) else {
            return Err(invalid("there is no signature in it".into()));
        };
        result::signed(&wallet, &inputs, &signed).map_err(|wrong| invalid(wrong.to_string()))?;
        Ok(Signature {
            task,
            wallet: wallet.key,
            scheme: wallet.scheme,
            signed,
        })
    }

    /// Assembles the signed payload in the form that its chain takes. Everything is
    /// decoded and verified again.
    pub async fn finish(
        &self,
        order: &SignOrder,
        made: &Signature,
        form: BitcoinForm,
    ) -> Result<Finished, ClientError> {
        let wallet = self.wallet(order.wallet).await?;
        Ok(proof::finish(
            &wallet,
            &order.path,
            &order.payload,
            &self.networks,
            &made.signed,
            form,
        )?)
    }

    /// Fetches a task. Its order is verified and its summary is of that order; decisions, outcomes
    /// and history are the coordinator's word.
    pub async fn task(&self, id: TaskId) -> Result<TaskView, ClientError> {
        let view = self.api.task(id, None).await?;
        self.check_told(id, &view)?;
        Ok(view)
    }

    /// Fetches a page of tasks as reported by the coordinator, newest first.
    pub async fn tasks(&self, limit: usize, cursor: Option<&str>) -> Result<TaskPage, ClientError> {
        self.api.tasks(&TaskFilter::default(), limit, cursor).await
    }

    /// The coordinator's API. Nothing that it answers is verified.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Cancels a task, before its protocol begins. Its order is verified; that it is cancelled is
    /// the coordinator's word.
    pub async fn cancel(&self, id: TaskId) -> Result<TaskView, ClientError> {
        let view = self.api.cancel(id).await?;
        self.check_told(id, &view)?;
        Ok(view)
    }

    /// Fetches the nodes as the coordinator sees them.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        self.api.nodes().await
    }

    /// Waits until a task has ended in any way.
    pub async fn wait(
        &self,
        id: TaskId,
        mut progress: impl FnMut(&TaskView),
    ) -> Result<TaskView, ClientError> {
        let until = Instant::now() + self.timeout.unwrap_or(WALLET);
        let first = within(until, id, self.task(id)).await?;
        progress(&first);
        let last = self.follow(first, until, progress).await?;
        self.check_told(id, &last)?;
        Ok(last)
    }

    /// The pages on which passkeys may sign orders.
    fn passkeys(&self) -> PinnedPages<'_> {
        self.pages.as_ref().map(|pages| pages as &dyn Passkeys)
    }

    fn check_told(&self, task: TaskId, view: &TaskView) -> Result<(), ClientError> {
        let summary = &view.summary;
        let told = Told {
            id: summary.id,
            requester: summary.requester,
            operation: operation_of(summary),
            wallet: summary.wallet,
            not_after: summary.not_after,
        };
        let checked = proof::check_told(task, &told, &view.order(), self.passkeys());
        checked.map(drop).map_err(|error| ClientError::Invalid {
            task,
            reason: error.to_string(),
        })
    }

    fn decode_for(
        &self,
        wallet: &KeyDescriptor,
        order: &SignOrder,
    ) -> Result<Decoded, ClientError> {
        Ok(proof::decode(
            wallet,
            &order.path,
            &order.payload,
            &self.networks,
        )?)
    }

    async fn carry_out(
        &self,
        draft: Draft,
        mut progress: impl FnMut(&TaskView),
    ) -> Result<(SignedTask, TaskView), ClientError> {
        let life = self.timeout.unwrap_or(draft.life);
        let usual = life + self.collect.map_or(Duration::ZERO, left);
        let until = Instant::now() + self.timeout.unwrap_or(usual) + REPORT;
        let order = self.order(draft, life, self.collect)?;
        let first = self.hand_in(&order, until).await?;
        progress(&first);
        let view = self.follow(first, until, progress).await?;
        self.check_told(view.summary.id, &view)?;
        self.judge(&view)?;
        Ok((order, view))
    }

    /// Once the order may have arrived, submits the same bytes again until it is known whether it
    /// did: a second order in its place might be carried out twice.
    async fn hand_in(&self, order: &SignedTask, until: Instant) -> Result<TaskView, ClientError> {
        let id = order
            .parse()
            .map_err(|error| ClientError::Usage(error.to_string()))?
            .id;
        let mut arrived = false;
        loop {
            let error = match within(until, id, self.api.submit(order)).await {
                Ok(view) if view.summary.id == id => return Ok(view),
                Ok(_) => return Err(another_task()),
                Err(error) => error,
            };
            arrived |= may_have_arrived(&error);
            if !arrived || !is_passing(&error) {
                return Err(error);
            }
            if Instant::now() >= until {
                return Err(ClientError::TimedOut(id));
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    fn order(
        &self,
        draft: Draft,
        life: Duration,
        collect: Option<Collect>,
    ) -> Result<SignedTask, ClientError> {
        let no_key =
            "there is no requester key; name one under `requester_key_file` in the profile";
        let requester = self
            .requester
            .as_ref()
            .ok_or_else(|| ClientError::Usage(no_key.into()))?;
        let mut id = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut id);
        let window = Window {
            now: now(),
            life_ms: u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
            collect,
        };
        check_life(&window)?;
        order::sign(
            requester,
            TaskId(id),
            window,
            draft.remarks,
            draft.operation,
        )
        .map_err(|error| ClientError::Usage(error.to_string()))
    }

    /// Polls until the task ends. A coordinator that is away for a moment, such as for a restart,
    /// is asked again until the time is over.
    async fn follow(
        &self,
        mut view: TaskView,
        until: Instant,
        mut progress: impl FnMut(&TaskView),
    ) -> Result<TaskView, ClientError> {
        let id = view.summary.id;
        while !has_ended(&view.summary)? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(not_in_time(&view.summary));
            }
            let wait = left.as_secs().clamp(1, LONG_POLL);
            let asked = self.api.task(id, Some((wait, view.summary.revision)));
            match within(until, id, asked).await {
                Err(ClientError::TimedOut(_)) => return Err(not_in_time(&view.summary)),
                Ok(news) if news.summary.id == id => view = news,
                Ok(_) => return Err(another_task()),
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(AWAY.min(left)).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            progress(&view);
        }
        Ok(view)
    }

    /// The end of a task by the coordinator's word: an error if it ended without a result. The
    /// summary must be of the order, as [`task`](Self::task) verifies it.
    pub fn judge(&self, view: &TaskView) -> Result<(), ClientError> {
        let summary = &view.summary;
        let task = summary.id;
        let reason = summary.reason.clone();
        let (code, message, nodes, plugin) = match reason {
            Some(reason) => (reason.code, reason.message, reason.nodes, reason.plugin),
            None => (
                "unknown".into(),
                "the coordinator gives no reason; see its log".into(),
                vec![],
                None,
            ),
        };
        let known = match &summary.state {
            Open::Known(state) => *state,
            Open::Unknown(_) => return Err(unknown_state(summary)),
        };
        let state = match known {
            State::Rejected => {
                let node = nodes
                    .first()
                    .map_or("a node".into(), |node| self.profile.short_name(node).into());
                let reason = self.profile.with_names(&message);
                return Err(ClientError::Rejected {
                    task,
                    node,
                    plugin,
                    code,
                    reason: reason.into(),
                    open_until: open_until(summary),
                });
            }
            State::Failed => "failed",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Completed
            | State::Pending
            | State::Waiting
            | State::Approving
            | State::Running => return Ok(()),
        };
        let message = self.profile.with_names(&message);
        Err(ClientError::Failed {
            task,
            state,
            code: code.into(),
            message: message.into(),
            nodes: nodes.into(),
            others: Box::default(),
            open_until: open_until(summary),
        })
    }
}

/// The draft of an order for this number of signatures.
fn sign_draft(order: &SignOrder, inputs: usize) -> Draft {
    let further: Duration = (1..inputs).map(|_| FURTHER).sum();
    Draft {
        operation: order.operation(),
        remarks: Remarks {
            note: order.note.clone(),
            claims: order.claims.clone(),
        },
        life: SIGNATURE + further,
    }
}

/// Adds to an order that expired the nodes that could sign without those that were not online:
/// members that did not refuse, starting with those that had approved. A node that refused is never
/// gone around: it guards the wallet.
fn with_others(
    mut error: ClientError,
    wallet: &KeyDescriptor,
    parties: &[PartyView],
) -> ClientError {
    let ClientError::Failed {
        state: "expired",
        others: instead,
        open_until: None,
        ..
    } = &mut error
    else {
        return error;
    };
    let refused = |party: &PartyView| {
        let decision = party.decision.as_ref();
        decision.is_some_and(|decision| decision.refusal.is_some())
    };
    let absent = |party: &PartyView| party.decision.is_none() && !party.online;
    if parties.iter().any(refused) || !parties.iter().any(absent) {
        return error;
    }
    let party = |node: &NodeId| parties.iter().find(|party| party.node == *node);
    let mut others: Vec<NodeId> = wallet.committee.members().to_vec();
    others.retain(|node| !party(node).is_some_and(absent));
    others.sort_by_key(|node| party(node).is_none_or(|party| party.decision.is_none()));
    let needed = usize::from(wallet.threshold.get());
    if others.len() >= needed {
        others.truncate(needed);
        *instead = others.into();
    }
    error
}

/// Refuses votes that would leave the nodes less than the order's usual time.
fn check_life(window: &Window) -> Result<(), ClientError> {
    let Some(collect) = window.collect else {
        return Ok(());
    };
    let end = window.now.0.saturating_add(Task::MAX_COLLECTING_LIFE_MS);
    if collect.until.0.saturating_add(window.life_ms) <= end {
        return Ok(());
    }
    let life = window.life_ms.div_ceil(1000);
    let latest = UnixMillis(end.saturating_sub(window.life_ms));
    Err(ClientError::Usage(format!(
        "an order lives for 7 days at most, and after the votes the nodes have {life} s; let the votes end (--until) before {}, or shorten --timeout",
        utc(latest)
    )))
}

/// The time left for votes.
fn left(collect: Collect) -> Duration {
    Duration::from_millis(collect.until.0.saturating_sub(now().0))
}

/// The error of a task that is not waited for any longer. One that people have not approved yet is
/// told apart: nobody but them can make it go on.
fn not_in_time(summary: &TaskSummary) -> ClientError {
    let task = summary.id;
    if summary.state != State::Pending {
        return ClientError::TimedOut(task);
    }
    let count = summary.collecting.map_or_else(String::new, |count| {
        format!(
            " ({} of {} by the coordinator's word, until {})",
            count.approved,
            count.needed,
            utc(count.until)
        )
    });
    ClientError::Pending {
        task,
        count: count.into(),
    }
}

/// The end of an order, if that is to come.
fn open_until(summary: &TaskSummary) -> Option<UnixMillis> {
    Some(summary.not_after).filter(|end| *end > now())
}

/// An answer about a task, if it comes in time as a whole.
async fn within<T>(
    until: Instant,
    task: TaskId,
    asked: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let answered = tokio::time::timeout_at(until, asked).await;
    answered.unwrap_or(Err(ClientError::TimedOut(task)))
}

/// True if nothing more is expected of a task. A task that has ended in a state of a later version
/// is an error: nobody here can say how it ended.
fn has_ended(summary: &TaskSummary) -> Result<bool, ClientError> {
    match (&summary.state, summary.ended) {
        (Open::Known(state), _) => Ok(state.is_final()),
        (Open::Unknown(_), None) => Ok(false),
        (Open::Unknown(_), Some(_)) => Err(unknown_state(summary)),
    }
}

fn unknown_state(summary: &TaskSummary) -> ClientError {
    ClientError::UnknownState {
        task: summary.id,
        state: summary.state.to_string(),
    }
}

/// The operation in words.
pub(crate) fn operation_of(summary: &TaskSummary) -> String {
    match &summary.operation {
        Open::Known(operation) => operation.title().into(),
        Open::Unknown(_) => summary.operation.to_string(),
    }
}

/// True if the same request may succeed a moment later.
fn is_passing(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable { .. } | ClientError::Api { status: 503, .. }
    )
}

/// True if the coordinator may have accepted the order although it did not say so.
fn may_have_arrived(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { sent, .. } => *sent,
        ClientError::Api {
            status: 503, code, ..
        } => code != "too-many-tasks",
        _ => false,
    }
}

fn another_task() -> ClientError {
    ClientError::Answer("it is about another task".into())
}

/// Returns the time. A clock before 1970 reads as 0.
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    // 64 bits of milliseconds last for half a billion years.
    UnixMillis(since.as_millis() as u64)
}
