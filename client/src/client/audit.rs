//! Bundles for auditors: what the coordinator tells of a time, joined with the files of the nodes.
//! Nothing is verified while they are made; [`audit::verify`] does that, from the bundle alone.

use std::collections::BTreeSet;

use countersign_audit::{
    Act, ActsHead, Bundle, CoordinatorLog, NodeLog, TaskTold, Wallet, WalletOrder,
};
use countersign_protocol::{CoordinatorId, KeyId, Outcome, SignedTask, TaskId, UnixMillis};
use countersign_requester::audit::{self, Report, Time, Trust};
use countersign_vote::RelyingParty;

use super::Client;
use crate::api::{Open, TaskFilter, TaskResult, TaskView, Walk};
use crate::book::Book;
use crate::error::ClientError;
use crate::profile::Profile;
use crate::requester_key::RequesterKey;

/// Entries and tasks of a page.
const PAGE: usize = 200;
/// Pages that are read of a list at most.
const MAX_PAGES: usize = 50_000;

impl Client {
    /// Makes the bundle of a time. `logs` are the files of the nodes.
    pub async fn audit_bundle(
        &self,
        time: Time,
        mut logs: Vec<NodeLog>,
    ) -> Result<Bundle, ClientError> {
        logs.sort_by_key(|log| log.node);
        if let Some([one, _]) = logs.windows(2).find(|pair| pair[0].node == pair[1].node) {
            return Err(ClientError::Usage(format!(
                "two files are of node {}; give one of each node, which covers all of the time",
                self.profile.name_of(&one.node)
            )));
        }
        let (acts, head) = self.acts_since(time.0).await?;
        let views = self.tasks_of(time, &logs).await?;
        let wallets: BTreeSet<KeyId> = views.iter().map(|view| view.summary.wallet).collect();
        let mut evidence = Vec::new();
        for wallet in wallets {
            evidence.extend(self.wallet_evidence(wallet).await?);
        }
        let mut tasks = Vec::new();
        for view in views {
            tasks.push(self.told(view).await?);
        }
        tasks.sort_by_key(|told| SignedTask::hash_of(told.task.as_bytes()));
        Ok(Bundle {
            time,
            coordinator: Some(CoordinatorLog {
                coordinator: self.coordinator_of(head.as_ref())?,
                acts,
                tasks,
                head,
            }),
            wallets: evidence,
            nodes: logs,
        })
    }

    /// The acts since a time, with the one before, and the signed end of all.
    async fn acts_since(
        &self,
        from: UnixMillis,
    ) -> Result<(Vec<Act>, Option<ActsHead>), ClientError> {
        let mut acts: Vec<Act> = Vec::new();
        let mut begun = false;
        let mut after: Option<String> = None;
        let mut walk = Walk::new("audit log", MAX_PAGES);
        loop {
            let page = self.api.audit(PAGE, after.as_deref()).await?;
            let is_last = page.entries.is_empty() || page.end.is_some();
            for entry in page.entries {
                // A clock that was set back within the time hides no act.
                begun |= entry.at >= from;
                if !begun {
                    acts.clear();
                }
                acts.push(entry.into());
            }
            if is_last {
                return Ok((acts, page.end.map(ActsHead::from)));
            }
            walk.step(&page.next)?;
            after = Some(page.next);
        }
    }

    /// The coordinator as it names itself. Whether it is the right one is for the auditor to judge.
    fn coordinator_of(&self, head: Option<&ActsHead>) -> Result<CoordinatorId, ClientError> {
        let named = head.map(|head| head.coordinator);
        named.or(self.profile.coordinator_id).ok_or_else(|| {
            let advice = "the coordinator is of a version that does not sign its log; write its id under `coordinator_id` in the profile, or have it updated";
            ClientError::Usage(advice.into())
        })
    }

    /// The tasks that were accepted in a time, and those that nodes have on record of it.
    async fn tasks_of(
        &self,
        (since, until): Time,
        logs: &[NodeLog],
    ) -> Result<Vec<TaskView>, ClientError> {
        let filter = TaskFilter {
            since: Some(since),
            until: Some(until),
            ..TaskFilter::default()
        };
        let recorded = logs.iter().flat_map(|log| &log.records);
        let mut ids: BTreeSet<TaskId> = recorded.map(|record| record.task).collect();
        let mut cursor: Option<String> = None;
        let mut walk = Walk::new("list of tasks", MAX_PAGES);
        loop {
            let page = self.api.tasks(&filter, PAGE, cursor.as_deref()).await?;
            ids.extend(page.tasks.iter().map(|summary| summary.id));
            let Some(next) = page.next else { break };
            walk.step(&next)?;
            cursor = Some(next);
        }
        let mut views = Vec::new();
        for id in ids {
            views.extend(known(self.api.task(id, None).await)?);
        }
        Ok(views)
    }

    async fn told(&self, view: TaskView) -> Result<TaskTold, ClientError> {
        let id = view.summary.id;
        let votes = match view.summary.collecting {
            None => Vec::new(),
            Some(_) => {
                let told = known(self.api.votes(id).await)?;
                let votes = told.into_iter().flat_map(|told| told.votes);
                let votes: Option<_> = votes
                    .map(|one| one.into_known().map(|one| one.vote))
                    .collect();
                votes.ok_or_else(|| of_later_version(id, "vote"))?
            }
        };
        let result = match view.result.map(Open::into_known) {
            None => None,
            Some(None) => return Err(of_later_version(id, "result")),
            Some(Some(result)) => outcome(result),
        };
        Ok(TaskTold {
            submitted: view.summary.submitted,
            state: word(&view.summary.state),
            parties: view.nodes.iter().map(|party| party.node).collect(),
            votes,
            result,
            task: view.task,
            signature: view.signature,
        })
    }

    /// What proves a wallet, as the coordinator tells it.
    async fn wallet_evidence(&self, wallet: KeyId) -> Result<Option<Wallet>, ClientError> {
        let Some(told) = known(self.api.wallet(wallet).await)? else {
            return Ok(None);
        };
        let generations = match told.generation {
            0 => vec![told],
            _ => self.api.generations(wallet).await?,
        };
        let order = match generations.first() {
            Some(first) => known(self.api.task(first.task, None).await)?,
            None => None,
        };
        Ok(Some(Wallet {
            wallet,
            order: order.map(|view| WalletOrder {
                task: view.task,
                signature: view.signature,
            }),
            generations,
        }))
    }
}

/// A bundle without it would prove less than it seems to.
fn of_later_version(task: TaskId, what: &str) -> ClientError {
    ClientError::Answer(format!(
        "task {task} has a {what} of a later version, without which the bundle would not be whole"
    ))
}

/// Finds out what a bundle proves of a time to whoever has this profile. Asks nobody. An end of the
/// time that is not given is the bundle's word, which is among the findings.
pub fn verify_audit(
    bundle: &Bundle,
    (from, to): (Option<UnixMillis>, Option<UnixMillis>),
    profile: &Profile,
) -> Result<Report, ClientError> {
    let own = profile.requester_key_file.as_deref();
    // An auditor need not have a key of her own.
    let own = own.filter(|path| path.exists()).map(RequesterKey::load);
    let pages = profile.passkeys.as_ref();
    let pages = pages.map(|pages| RelyingParty::new(&pages.rp_id, pages.origins.clone()));
    let pages = pages
        .transpose()
        .map_err(|error| ClientError::Usage(format!("{error} under `passkeys` in the profile")))?;
    let book = Book::new(&profile.wallet_book).wallets()?;
    let believed = book.values().filter(|entry| entry.belief.is_some());
    let wallets: Vec<_> = believed.flat_map(|entry| entry.generations()).collect();
    let trust = Trust {
        known: profile.known(own.transpose()?.map(|key| key.id())),
        coordinator: profile.coordinator_id,
        people: profile.approvers.as_ref(),
        pages: pages.as_ref(),
        wallets: &wallets,
    };
    let time = (from.unwrap_or(bundle.time.0), to.unwrap_or(bundle.time.1));
    let report = audit::verify(bundle, time, &trust);
    Ok(match (from, to) {
        (Some(_), Some(_)) => report,
        (None, _) | (_, None) => report.of_the_bundles_time(),
    })
}

/// An answer, or nothing if the coordinator does not know of it.
fn known<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::Api { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The word of the API for a state.
fn word(state: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(state);
    let word = word.ok().and_then(|word| word.as_str().map(str::to_owned));
    word.unwrap_or_default()
}

/// A result that is the same at all nodes. Each node proves a check-up of its own.
fn outcome(result: TaskResult) -> Option<Outcome> {
    match result {
        TaskResult::Created(made) => Some(Outcome::Created(*made)),
        TaskResult::Signed(made) => Some(Outcome::Signed(made)),
        TaskResult::Reshared(made) => Some(Outcome::Reshared(*made)),
        TaskResult::Intact(_) => None,
    }
}
