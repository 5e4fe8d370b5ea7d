//! Reshares, and check-ups of shares.

use std::collections::BTreeMap;

use countersign_protocol::{
    Committee, Intact, KeyDescriptor, KeyId, KeyReshare, KeyShareSign, NodeId, Operation, TaskId,
    Threshold,
};
use countersign_requester::order::Remarks;
use countersign_verify::result;

use super::{Client, Draft, SIGNATURE, WALLET};
use crate::api::{Open, TaskResult, TaskView};
use crate::error::ClientError;

/// An order to reshare a wallet to another committee, or to the same with new shares.
#[derive(Debug, Clone)]
pub struct ReshareOrder {
    /// Id of the wallet to reshare.
    pub wallet: KeyId,
    /// The nodes that will hold it.
    pub committee: Committee,
    /// Number of nodes that must sign then.
    pub threshold: Threshold,
    /// Present members that deal, as many as sign now; absent: the coordinator chooses.
    pub dealers: Option<Vec<NodeId>>,
    /// A remark for nodes' plugins and people.
    pub note: Option<String>,
    /// Statements for nodes' plugins,
    /// by name; see [`Task::claims`](countersign_protocol::Task::claims).
    pub claims: BTreeMap<String, String>,
}

impl ReshareOrder {
    /// An order without dealers, note or claims.
    pub fn new(wallet: KeyId, committee: Committee, threshold: Threshold) -> Self {
        Self {
            wallet,
            committee,
            threshold,
            dealers: None,
            note: None,
            claims: BTreeMap::new(),
        }
    }
}

/// A verified check-up: every node that was asked holds its share intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckUp {
    /// Id of the task behind it.
    pub task: TaskId,
    /// The wallet, in the generation that was checked.
    pub wallet: KeyDescriptor,
    /// The proof of each node, in the order of their ids.
    pub intact: Vec<Intact>,
}

impl Client {
    /// Reshares a wallet, verifies that the new generation succeeds the known one, and writes it
    /// into the wallet book. Key and addresses stay. `progress` sees the task at every change.
    pub async fn reshare(
        &self,
        order: &ReshareOrder,
        progress: impl FnMut(&TaskView),
    ) -> Result<KeyDescriptor, ClientError> {
        let reshare = self.reshare_from(order).await?;
        let draft = reshare_draft(order, reshare.clone());
        let (_, view) = self.carry_out(draft, progress).await?;
        let task = view.summary.id;
        let invalid = |reason: String| ClientError::Invalid { task, reason };
        let Some(TaskResult::Reshared(wallet)) = view.result.and_then(Open::into_known) else {
            return Err(invalid("there is no generation of the wallet in it".into()));
        };
        result::reshared(task, &reshare, None, &wallet)
            .map_err(|wrong| invalid(wrong.to_string()))?;
        self.book.replace(&wallet)?;
        Ok(*wallet)
    }

    /// Has nodes, by default all members, prove that they hold their shares intact, and verifies
    /// each proof. Nothing is signed. `progress` sees the task at every change.
    pub async fn check_up(
        &self,
        wallet: KeyId,
        nodes: Option<Vec<NodeId>>,
        note: Option<String>,
        progress: impl FnMut(&TaskView),
    ) -> Result<CheckUp, ClientError> {
        let wallet = self.newest_wallet(wallet).await?;
        let (nodes, draft) = check_up_draft(&wallet, nodes, note);
        let (order, view) = self.carry_out(draft, progress).await?;
        let task = view.summary.id;
        let invalid = |reason: String| ClientError::Invalid { task, reason };
        let Some(TaskResult::Intact(intact)) = view.result.and_then(Open::into_known) else {
            return Err(invalid("there is no check-up in it".into()));
        };
        result::intact(&wallet, order.hash(), &nodes, &intact)
            .map_err(|wrong| invalid(wrong.to_string()))?;
        Ok(CheckUp {
            task,
            wallet,
            intact,
        })
    }

    /// The reshare of the newest generation that is believed.
    pub(super) async fn reshare_from(
        &self,
        order: &ReshareOrder,
    ) -> Result<KeyReshare, ClientError> {
        Ok(KeyReshare {
            from: self.newest_wallet(order.wallet).await?,
            committee: order.committee.clone(),
            threshold: order.threshold,
            dealers: order.dealers.clone(),
        })
    }
}

pub(super) fn reshare_draft(order: &ReshareOrder, reshare: KeyReshare) -> Draft {
    Draft {
        operation: Operation::KeyReshare(Box::new(reshare)),
        remarks: Remarks {
            note: order.note.clone(),
            claims: order.claims.clone(),
        },
        life: WALLET,
    }
}

/// The nodes that check their shares, by default all members, and the draft of the order to them.
pub(super) fn check_up_draft(
    wallet: &KeyDescriptor,
    nodes: Option<Vec<NodeId>>,
    note: Option<String>,
) -> (Vec<NodeId>, Draft) {
    let mut nodes = nodes.unwrap_or_else(|| wallet.committee.members().to_vec());
    nodes.sort_unstable();
    let operation = Operation::KeyShareSign(KeyShareSign {
        key: wallet.key,
        nodes: nodes.clone(),
    });
    let remarks = Remarks {
        note,
        claims: BTreeMap::new(),
    };
    let life = SIGNATURE;
    let draft = Draft {
        operation,
        remarks,
        life,
    };
    (nodes, draft)
}
