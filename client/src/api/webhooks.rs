//! Receivers of events. All of it needs an API key with the scope `admin`.

use countersign_api::{
    Delivery, DeliveryPage, DeliveryState, Resend, Resent, RotateWebhookKey, WebhookKeys,
    WebhookList, WebhookSpec, WebhookView,
};
use reqwest::Method;

use super::{Api, listed, named};
use crate::error::ClientError;

impl Api {
    /// Fetches all webhooks, in the order of their names.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, ClientError> {
        let listing: WebhookList = self
            .answer(self.request(Method::GET, "/v1/webhooks"))
            .await?;
        Ok(listing.webhooks)
    }

    /// Fetches a webhook.
    pub async fn webhook(&self, name: &str) -> Result<WebhookView, ClientError> {
        self.answer(self.request(Method::GET, &path(name, "")?))
            .await
    }

    /// Creates or replaces a webhook.
    pub async fn put_webhook(
        &self,
        name: &str,
        spec: &WebhookSpec,
    ) -> Result<WebhookView, ClientError> {
        self.answer(self.with_body(Method::PUT, &path(name, "")?, spec)?)
            .await
    }

    /// Deletes a webhook with the log of its deliveries. Deleting it again changes nothing.
    pub async fn delete_webhook(&self, name: &str) -> Result<(), ClientError> {
        let deleted = self.bytes(self.request(Method::DELETE, &path(name, "")?));
        deleted.await.map(drop)
    }

    /// Has a test sent to a webhook.
    pub async fn test_webhook(&self, name: &str) -> Result<Delivery, ClientError> {
        self.answer(self.request(Method::POST, &path(name, "/test")?))
            .await
    }

    /// Has events sent again.
    pub async fn resend(&self, name: &str, what: &Resend) -> Result<Resent, ClientError> {
        self.post(&path(name, "/resend")?, what).await
    }

    /// Fetches a page of a webhook's deliveries, newest first. `cursor` is `next` of the page
    /// before.
    pub async fn deliveries(
        &self,
        name: &str,
        states: &[DeliveryState],
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<DeliveryPage, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        query.extend(listed("state", states)?);
        let request = self.request(Method::GET, &path(name, "/deliveries")?);
        self.answer(request.query(&query)).await
    }

    /// Fetches the public keys of deliveries, the current one first.
    pub async fn webhook_keys(&self) -> Result<WebhookKeys, ClientError> {
        self.answer(self.request(Method::GET, "/v1/webhook-keys"))
            .await
    }

    /// Replaces the key of deliveries, if `kid` is the current one.
    pub async fn rotate_webhook_key(&self, kid: &str) -> Result<WebhookKeys, ClientError> {
        let kid = kid.to_owned();
        self.post("/v1/webhook-keys/rotate", &RotateWebhookKey { kid })
            .await
    }
}

fn path(name: &str, rest: &str) -> Result<String, ClientError> {
    named("a webhook", "/v1/webhooks", name, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_other_path() {
        assert_eq!(path("ops-2", "/test").unwrap(), "/v1/webhooks/ops-2/test");
        let long = "a".repeat(41);
        for name in ["", "..", "a/b", "a?b", "Ops", "a b", "a%2f", &long] {
            let error = path(name, "").unwrap_err().to_string();
            assert!(
                error.ends_with("write 1 to 40 of a-z, 0-9 and -"),
                "{error}"
            );
        }
    }
}
