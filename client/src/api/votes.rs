//! Votes of people on a task.

use countersign_api::{Collecting, VoteView};
use countersign_protocol::{Hash, TaskId, Vote};
use reqwest::Method;
use serde::Deserialize;

use super::{Api, Open};
use crate::error::ClientError;

/// The votes on a task as a coordinator tells them. Nothing of it is believed.
#[derive(Debug, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of `VoteList`")]
pub struct ToldVotes {
    pub task: TaskId,
    pub hash: Hash,
    #[serde(default)]
    pub collecting: Option<Collecting>,
    /// A vote of a later version does not keep anybody from reading the others.
    pub votes: Vec<Open<VoteView>>,
    pub missing: Vec<String>,
}

impl Api {
    /// Hands in a vote. Handing in the same vote again changes nothing.
    pub async fn vote(&self, task: TaskId, vote: &Vote) -> Result<ToldVotes, ClientError> {
        self.post(&format!("/v1/tasks/{task}/votes"), vote).await
    }

    /// Fetches the votes on a task.
    pub async fn votes(&self, task: TaskId) -> Result<ToldVotes, ClientError> {
        let path = format!("/v1/tasks/{task}/votes");
        self.answer(self.request(Method::GET, &path)).await
    }
}
