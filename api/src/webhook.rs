//! Webhooks: receivers that events are sent to.

use countersign_protocol::{KeyId, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{EventData, EventKind, Open};

/// A receiver of events, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// The receiver of events: `https`, or `http` on the coordinator's own machine. The
    /// coordinator's operator decides which networks may be reached beside the public one.
    pub url: String,
    /// Only these kinds, at least one; all if absent.
    #[serde(default, rename = "types", skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of these wallets, at least one; of all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallets: Option<Vec<KeyId>>,
    /// The signature of deliveries.
    #[serde(default)]
    pub format: WebhookFormat,
    /// While false, nothing is sent; events wait as long as the feed keeps them.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A receiver of events, as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookSettings {
    /// The receiver of events.
    pub url: String,
    /// Only these kinds; all if absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<EventKind>>))]
    #[serde(default, rename = "types", skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<Open<EventKind>>>,
    /// Only events of these wallets; of all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallets: Option<Vec<KeyId>>,
    /// The signature of deliveries.
    #[cfg_attr(feature = "openapi", schema(value_type = WebhookFormat))]
    pub format: Open<WebhookFormat>,
    /// While false, nothing is sent; events wait as long as the feed keeps them.
    pub enabled: bool,
}

impl From<WebhookSpec> for WebhookSettings {
    fn from(spec: WebhookSpec) -> Self {
        let open = |kinds: Vec<EventKind>| kinds.into_iter().map(Open::Known).collect();
        Self {
            url: spec.url,
            kinds: spec.kinds.map(open),
            wallets: spec.wallets,
            format: spec.format.into(),
            enabled: spec.enabled,
        }
    }
}

fn yes() -> bool {
    true
}

/// The signature of deliveries. The body is the event in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFormat {
    /// Standard Webhooks with Ed25519: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Standard,
    /// Headers `BIZ_TIMESTAMP` and `BIZ_RESP_SIGNATURE`, over the double SHA-256 of body and time.
    CoboV2,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// The name in its path.
    pub name: String,
    /// Its configuration.
    pub spec: WebhookSettings,
    /// Time of creation.
    pub created: UnixMillis,
    /// The event up to which deliveries were begun, as a cursor of the feed.
    pub cursor: String,
    /// Deliveries that wait for an attempt.
    pub pending: u64,
    /// Time since which every attempt has failed; absent while attempts succeed.
    pub failing_since: Option<UnixMillis>,
}

/// All webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookList {
    /// In the order of their names.
    pub webhooks: Vec<WebhookView>,
}

/// The sending of one event to one webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// The event's id, which is `webhook-id` at the receiver.
    pub event: String,
    /// The kind of event.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = EventKind))]
    pub kind: Open<EventKind>,
    /// The subject, if the event is not in the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<EventData>))]
    pub data: Option<Open<EventData>>,
    /// The time of the event.
    pub at: UnixMillis,
    /// Whether the receiver has it.
    #[cfg_attr(feature = "openapi", schema(value_type = DeliveryState))]
    pub state: Open<DeliveryState>,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// Time of the next attempt; absent if there is none.
    pub next_attempt: Option<UnixMillis>,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// Waiting for an attempt.
    Pending,
    /// The receiver answered with 2xx.
    Delivered,
    /// Every attempt of about 24 hours failed. It can be sent again.
    Failed,
}

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Time of its beginning.
    pub at: UnixMillis,
    /// The receiver's answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong; absent for a success.
    pub error: Option<String>,
    /// Duration in milliseconds.
    pub millis: u64,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryPage {
    /// Newest first.
    pub deliveries: Vec<Delivery>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Selects events to send again, with the ids that they had. Everything that is set must hold; at
/// least one must be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resend {
    /// One of these events.
    pub events: Option<Vec<String>>,
    /// Events of this task.
    pub task: Option<TaskId>,
    /// Events of this wallet.
    pub wallet: Option<KeyId>,
    /// Events of this time or later.
    pub since: Option<UnixMillis>,
    /// Events before this time.
    pub until: Option<UnixMillis>,
    /// Deliveries in this state.
    pub state: Option<DeliveryState>,
}

/// How many events are sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resent {
    /// Number of deliveries.
    pub deliveries: u64,
    /// True if more events were selected than one request may send again; repeat it with a later
    /// `since`.
    pub more: bool,
}

/// The keys that webhooks are signed with: a JSON Web Key Set (RFC 7517, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookKeys {
    /// The current key first; then the one before, for a week after a rotation.
    pub keys: Vec<WebhookKey>,
}

/// A public key that webhooks are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookKey {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The key's id.
    pub kid: String,
    /// The public key: 32 bytes in base64url.
    pub x: String,
    /// The same key as Standard Webhooks' libraries take it: `whpk_` and base64.
    pub whpk: String,
    /// Time of creation.
    pub created: UnixMillis,
}

/// Replaces the current key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateWebhookKey {
    /// The id of the key to replace. If it is not the current one, nothing happens, so that a
    /// repeated request does not replace two keys.
    pub kid: String,
}
