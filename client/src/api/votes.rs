//! Votes of people on a task.

use countersign_protocol::{TaskId, Vote};
pub use countersign_requester::count::ToldVotes;
use reqwest::Method;

use super::Api;
use crate::error::ClientError;

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
