//! API keys, and the log of what they were used for. All of it needs a key with the scope `admin`.

use countersign_api::{ApiKeyList, ApiKeySpec, ApiKeyView, AuditPage, ExpireApiKey, RotateApiKey};
use countersign_protocol::UnixMillis;
use reqwest::Method;

use super::{Api, named};
use crate::error::ClientError;

impl Api {
    /// Fetches all API keys, in the order of their names.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyView>, ClientError> {
        let listing: ApiKeyList = self
            .answer(self.request(Method::GET, "/v1/api-keys"))
            .await?;
        Ok(listing.api_keys)
    }

    /// Makes an API key, or changes what it may do.
    pub async fn put_api_key(
        &self,
        name: &str,
        spec: &ApiKeySpec,
    ) -> Result<ApiKeyView, ClientError> {
        self.answer(self.with_body(Method::PUT, &path(name, "")?, spec)?)
            .await
    }

    /// Replaces the credential of an API key.
    pub async fn rotate_api_key(
        &self,
        name: &str,
        to: &RotateApiKey,
    ) -> Result<ApiKeyView, ClientError> {
        self.post(&path(name, "/rotate")?, to).await
    }

    /// Sets the end of an API key, and nothing else; `None`: it does not end by itself.
    pub async fn expire_api_key(
        &self,
        name: &str,
        expires: Option<UnixMillis>,
    ) -> Result<ApiKeyView, ClientError> {
        self.post(&path(name, "/expire")?, &ExpireApiKey { expires })
            .await
    }

    /// Revokes an API key at once. Revoking it again changes nothing.
    pub async fn revoke_api_key(&self, name: &str) -> Result<(), ClientError> {
        let revoked = self.bytes(self.request(Method::DELETE, &path(name, "")?));
        revoked.await.map(drop)
    }
}

impl Api {
    /// Fetches a page of the audit log, oldest first. `after` is `next` of the page before, or the
    /// cursor of an entry.
    pub async fn audit(&self, limit: usize, after: Option<&str>) -> Result<AuditPage, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(after.map(|after| ("after", after.to_owned())));
        self.answer(self.request(Method::GET, "/v1/audit").query(&query))
            .await
    }
}

fn path(name: &str, rest: &str) -> Result<String, ClientError> {
    named("an API key", "/v1/api-keys", name, rest)
}
