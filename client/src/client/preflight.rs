//! Preflights: what would come of an order.

use std::time::Duration;

use countersign_protocol::task::Collect;
use countersign_protocol::{KeyId, NodeId, UnixMillis};

use super::reshare::{check_up_draft, reshare_draft};
use super::{Client, Draft, NewWallet, SignOrder, now, sign_draft};
use crate::ReshareOrder;
use crate::api::{DryRun, Preflight};
use crate::error::ClientError;

/// The longest life of the signed task behind a preflight. Whoever gets the task can order it as
/// long as it lives.
const LIFE: Duration = Duration::from_secs(60);

/// The forecasts are the word of the coordinator and the nodes. Nothing is ordered, if the
/// coordinator is honest: it gets a signed task that lives for a minute at most.
impl Client {
    /// What would come of an order for a new wallet.
    pub async fn preflight_wallet(&self, new: &NewWallet) -> Result<Preflight, ClientError> {
        self.preflight(new.draft()).await
    }

    /// What would come of an order for signatures.
    pub async fn preflight_sign(&self, order: &SignOrder) -> Result<Preflight, ClientError> {
        let inputs = self.decode(order).await?.inputs;
        self.preflight(sign_draft(order, inputs.len())).await
    }

    /// What would come of a reshare.
    pub async fn preflight_reshare(&self, order: &ReshareOrder) -> Result<Preflight, ClientError> {
        let reshare = self.reshare_from(order).await?;
        self.preflight(reshare_draft(order, reshare)).await
    }

    /// What would come of a check-up of shares.
    pub async fn preflight_check_up(
        &self,
        wallet: KeyId,
        nodes: Option<Vec<NodeId>>,
        note: Option<String>,
    ) -> Result<Preflight, ClientError> {
        let wallet = self.newest_wallet(wallet).await?;
        let (_, draft) = check_up_draft(&wallet, nodes, note);
        self.preflight(draft).await
    }

    async fn preflight(&self, draft: Draft) -> Result<Preflight, ClientError> {
        let life = self.timeout.unwrap_or(draft.life).min(LIFE);
        let task = match self.collect {
            None => self.order(draft, life, None)?,
            // Votes are collected for one half of its life.
            Some(collect) => {
                let life = life / 2;
                let soon = UnixMillis(now().0.saturating_add(life.as_millis() as u64));
                let until = collect.until.min(soon);
                self.order(draft, life, Some(Collect { until, ..collect }))?
            }
        };
        let id = task
            .parse()
            .map_err(|error| ClientError::Usage(error.to_string()))?
            .id;
        match self.api.preflight(&task).await? {
            DryRun::Forecast(preflight) if preflight.task == id => Ok(preflight),
            DryRun::Forecast(_) => Err(super::another_task()),
            DryRun::Ordered(_) => {
                let cancelled = self.api.cancel(id).await.is_ok();
                let now = if cancelled {
                    "cancelled"
                } else {
                    "NOT cancelled"
                };
                Err(ClientError::Answer(format!(
                    "it knows no preflights and took this one for an order; task {id} is {now}: look with `countersign task show {id}`"
                )))
            }
        }
    }
}
