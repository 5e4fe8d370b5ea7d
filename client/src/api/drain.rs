//! Draining of the coordinator. It needs a key with the scope `admin`.

use countersign_api::{DrainView, SetDrain};
use reqwest::Method;

use super::Api;
use crate::error::ClientError;

const PATH: &str = "/v1/drain";

impl Api {
    /// Fetches whether the coordinator begins tasks, and how many are under way.
    pub async fn drain(&self) -> Result<DrainView, ClientError> {
        self.answer(self.request(Method::GET, PATH)).await
    }

    /// Lets the coordinator begin no tasks, or begin them again.
    pub async fn set_drain(&self, draining: bool) -> Result<DrainView, ClientError> {
        let wanted = SetDrain { draining };
        self.answer(self.with_body(Method::PUT, PATH, &wanted)?)
            .await
    }
}
