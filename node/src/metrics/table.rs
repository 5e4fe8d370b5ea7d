//! The metrics of a node. `docs/metrics.md` and the dashboard are made from this table.
//!
//! Labels have few distinct values: entries of the configuration, versions, verdicts and codes of
//! this program, but never a code or a text made up by a plugin, a peer or a requester.

use countersign_metrics::{Label, Metric, Table};

use super::counters::Stage;
use crate::bundle::board::CODES;

const KIND: Label = Label::one_of("kind", &["keygen", "keysign", "keyreshare", "keysharesign"]);
const PLUGIN: Label = Label::named("plugin");
const POLICY: Label = Label::named("policy");
const VERSION: Label = Label::named("version");
const PEER: Label = Label::named("peer");
const RECEIVER: Label = Label::named("receiver");
const RESULT: &[Label] = &[Label::one_of("result", &["taken", "refused"])];
const PUSHED: &[Label] = &[Label::one_of("result", &["written", "failed"])];

/// All metrics, under the headings of the documentation.
pub const TABLE: &Table = &[
    (
        "Node",
        &[
            &BUILD,
            &READY,
            &ONLINE,
            &STORE_READABLE,
            &STORE_WRITABLE,
            &JOURNAL_BYTES,
            &SECRETS_BYTES,
            &DISK_FREE_BYTES,
            &DISK_SIZE_BYTES,
            &INFLUXDB_PUSHES,
            &SERIES_LEFT_OUT,
        ],
    ),
    (
        "Keys and backups",
        &[
            &KEYS,
            &RESHARES_UNSETTLED,
            &KEYS_STOPPED,
            &SHARES_INTACT,
            &SHARES_DAMAGED,
            &CHECK_UP,
            &SHARES_PROVEN,
            &BACKUP,
            &DRILL,
        ],
    ),
    (
        "Tasks",
        &[
            &TASKS,
            &REFUSALS,
            &FAILURES,
            &TASK_STAGE_SECONDS,
            &SESSIONS,
            &OFFERS,
            &OFFERS_DROPPED,
            &AUX_QUEUE,
        ],
    ),
    (
        "Peers",
        &[&PEER_PRESENT, &PEER_CLOCK_SKEW, &PEERS_QUARANTINED],
    ),
    (
        "Plugins",
        &[
            &PLUGIN_SWAPS,
            &PLUGIN_EVALUATIONS,
            &PLUGIN_FAILURES,
            &PLUGIN_SHADOWS,
            &PLUGIN_EVALUATION_SECONDS,
            &PLUGIN_BROKEN,
            &PLUGIN_HEALTHY,
            &PLUGIN_PROBED,
        ],
    ),
    (
        "Policy bundles",
        &[&BUNDLE_IN_FORCE, &BUNDLE_WAITS, &BUNDLES_REFUSED],
    ),
    (
        "Events",
        &[
            &OUTBOX,
            &RECEIVER_BROKEN,
            &RECEIVER_DELIVERIES,
            &RECEIVER_DELIVERY_SECONDS,
        ],
    ),
];

pub(super) static BUILD: Metric = Metric::gauge(
    "countersign_build",
    "1; the label has the program's version",
    "the program",
)
.by(&[VERSION]);
pub(super) static READY: Metric = Metric::gauge(
    "countersign_ready",
    "1 if `/ready` would return 200",
    "all of the below",
);
pub(super) static ONLINE: Metric = Metric::gauge(
    "countersign_online",
    "1 if there is a link to the coordinator",
    "the link",
);
pub(super) static STORE_READABLE: Metric = Metric::gauge(
    "countersign_store_readable",
    "1 if the journal can be read",
    "the journal",
);
pub(super) static STORE_WRITABLE: Metric = Metric::gauge(
    "countersign_store_writable",
    "0 once a write to the journal or the secrets has failed, or one of their files was removed or replaced: the node stops within seconds",
    "journal and secrets",
);
pub(super) static JOURNAL_BYTES: Metric = Metric::gauge(
    "countersign_journal_bytes",
    "size of the journal",
    "the file",
);
pub(super) static SECRETS_BYTES: Metric = Metric::gauge(
    "countersign_secrets_bytes",
    "size of the sealed secrets and of the identity",
    "the files",
);
pub(super) static DISK_FREE_BYTES: Metric = Metric::gauge(
    "countersign_disk_free_bytes",
    "free space where the store is",
    "the file system",
);
pub(super) static DISK_SIZE_BYTES: Metric = Metric::gauge(
    "countersign_disk_size_bytes",
    "size of the file system where the store is",
    "the file system",
);
pub(super) static INFLUXDB_PUSHES: Metric = Metric::counter(
    "countersign_influxdb_pushes_total",
    "pushes to the InfluxDB that succeeded or failed; absent without `metrics.influxdb`",
    "the push",
)
.by(PUSHED);
pub(super) static SERIES_LEFT_OUT: Metric = Metric::gauge(
    "countersign_series_left_out",
    "series that are not shown because a metric has more than 1,000",
    "the report",
);
pub(super) static KEYS: Metric = Metric::gauge(
    "countersign_keys",
    "keys of which the node holds a share; `released`: keys that were reshared to others, whether or not the old share is still kept",
    "the journal",
)
.by(&[Label::one_of("status", &["active", "pending", "released"])]);
pub(super) static RESHARES_UNSETTLED: Metric = Metric::gauge(
    "countersign_reshares_unsettled",
    "reshares that are in doubt at this node",
    "the journal",
);
pub(super) static KEYS_STOPPED: Metric = Metric::gauge(
    "countersign_keys_stopped",
    "keys that are stopped, entirely or for certain signers, until `quarantine lift`",
    "the journal",
);
pub(super) static SHARES_INTACT: Metric = Metric::gauge(
    "countersign_shares_intact",
    "shares that proved themselves at the last check-up; absent before the first",
    "the last check-up",
);
pub(super) static SHARES_DAMAGED: Metric = Metric::gauge(
    "countersign_shares_damaged",
    "shares that failed the last check-up",
    "the last check-up",
);
pub(super) static CHECK_UP: Metric = Metric::gauge(
    "countersign_check_up_timestamp_seconds",
    "the last check-up of all shares",
    "the last check-up",
);
pub(super) static SHARES_PROVEN: Metric = Metric::gauge(
    "countersign_shares_proven_timestamp_seconds",
    "the last check-up at which every share proved itself: no key's share has gone unproven for longer",
    "the check-ups",
);
pub(super) static BACKUP: Metric = Metric::gauge(
    "countersign_backup_timestamp_seconds",
    "the last `countersign-node backup`; absent before the first",
    "the journal",
);
pub(super) static DRILL: Metric = Metric::gauge(
    "countersign_drill_timestamp_seconds",
    "the last `countersign-node restore --drill` that succeeded on this machine; absent before the first",
    "the journal",
);
pub(super) static TASKS: Metric = Metric::counter(
    "countersign_tasks_total",
    "tasks that ended at this node. `alarmed`: not authenticated, or the id was used before",
    "commits of the journal",
)
.by(&[
    KIND,
    Label::one_of("outcome", &["succeeded", "refused", "failed", "alarmed"]),
]);
pub(super) static REFUSALS: Metric = Metric::counter(
    "countersign_refusals_total",
    "refusals by [code](codes.md#the-node-itself). `plugin`: any code of a plugin or the sandbox; `other`: a code that this version does not know",
    "commits of the journal",
)
.by(&[Label::named("code")]);
pub(super) static FAILURES: Metric = Metric::counter(
    "countersign_failures_total",
    "tasks that failed at this node, by [code](codes.md#failures); `other`: a code that this version does not know",
    "commits of the journal",
)
.by(&[Label::named("code")]);
pub(super) static TASK_STAGE_SECONDS: Metric = Metric::histogram(
    "countersign_task_stage_seconds",
    "time that tasks spent in each stage, and altogether. `checking`: the node's own checks; `approving`: the plugins; `recording`: writes; `waiting`: for the other parties' approvals; `running`: the protocol. Only tasks of which plugins were asked",
    "the tasks",
)
.by(&[KIND, Label::one_of("stage", &Stage::NAMES)]);
pub(super) static SESSIONS: Metric =
    Metric::gauge("countersign_sessions", "sessions under way", "the sessions");
pub(super) static OFFERS: Metric = Metric::gauge(
    "countersign_offers",
    "offers being handled, from the offer to the end of the task",
    "the tasks",
);
pub(super) static OFFERS_DROPPED: Metric = Metric::counter(
    "countersign_offers_dropped_total",
    "offers that were dropped because there were more than `limits.tasks` allows",
    "the tasks",
);
pub(super) static AUX_QUEUE: Metric = Metric::gauge(
    "countersign_aux_queue",
    "tasks in the queue for auxiliary information",
    "the queue",
);
pub(super) static PEER_PRESENT: Metric = Metric::gauge(
    "countersign_peer_present",
    "1 if there is a tunnel to the peer. Peers are named as in `roster`",
    "the tunnels",
)
.by(&[PEER]);
pub(super) static PEER_CLOCK_SKEW: Metric = Metric::gauge(
    "countersign_peer_clock_skew_seconds",
    "the peer's clock minus this node's when the peer last stated its progress, less the time that this took; absent until then",
    "high-water marks",
)
.by(&[PEER]);
pub(super) static PEERS_QUARANTINED: Metric = Metric::gauge(
    "countersign_peers_quarantined",
    "peers that cheated with a key and are quarantined",
    "the journal",
);
pub(super) static PLUGIN_SWAPS: Metric = Metric::counter(
    "countersign_plugin_swaps_total",
    "changes of plugins, rules and keys that took effect or were refused; a refused one is tried again every 30 s",
    "the plugin watch",
)
.by(RESULT);
pub(super) static PLUGIN_EVALUATIONS: Metric = Metric::counter(
    "countersign_plugin_evaluations_total",
    "questions asked of a plugin",
    "the chain",
)
.by(&[
    PLUGIN,
    VERSION,
    Label::one_of("verdict", &["approved", "rejected", "failed"]),
]);
pub(super) static PLUGIN_FAILURES: Metric = Metric::counter(
    "countersign_plugin_failures_total",
    "questions without a usable answer, by the [code](codes.md#the-sandbox) of the node (not of the plugin)",
    "the chain",
)
.by(&[PLUGIN, VERSION, Label::named("code")]);
pub(super) static PLUGIN_SHADOWS: Metric = Metric::counter(
    "countersign_plugin_shadows_total",
    "shadows that would have decided differently, or were skipped",
    "the chain",
)
.by(&[
    PLUGIN,
    VERSION,
    Label::one_of("result", &["differed", "skipped"]),
]);
pub(super) static PLUGIN_EVALUATION_SECONDS: Metric = Metric::histogram(
    "countersign_plugin_evaluation_seconds",
    "duration of evaluations",
    "the chain",
)
.by(&[PLUGIN, VERSION]);
pub(super) static PLUGIN_BROKEN: Metric = Metric::gauge(
    "countersign_plugin_broken",
    "1 if the entry is broken and refuses everything in its scope",
    "the chain",
)
.by(&[PLUGIN, VERSION]);
pub(super) static PLUGIN_HEALTHY: Metric = Metric::gauge(
    "countersign_plugin_healthy",
    "1 if the plugin's dependencies were reachable at the last probe; only with `monitor_interval`",
    "the probes",
)
.by(&[PLUGIN, VERSION]);
pub(super) static PLUGIN_PROBED: Metric = Metric::gauge(
    "countersign_plugin_probed_timestamp_seconds",
    "end of the last probe",
    "the probes",
)
.by(&[PLUGIN, VERSION]);
pub(super) static BUNDLE_IN_FORCE: Metric = Metric::gauge(
    "countersign_bundle_in_force",
    "1; the labels have the [policy bundle](bundles.md) by which the node decides; absent if there is none",
    "the bundles",
)
.by(&[POLICY, VERSION]);
pub(super) static BUNDLE_WAITS: Metric = Metric::gauge(
    "countersign_bundle_waits_seconds",
    "time for which the node has to run until a policy bundle takes effect; 0 if it is due; absent if none waits",
    "the bundles",
)
.by(&[POLICY, VERSION]);
pub(super) static BUNDLES_REFUSED: Metric = Metric::counter(
    "countersign_bundles_refused_total",
    "policy bundles that were refused, or dropped while they waited. `unreadable`, `malformed`: the file; `not-published`: another policy, or too few publishers; `out-of-turn`: the version; `ceiling`: it asks for more than `policy.bundles.grants`; `unusable`: an entry cannot be loaded; `not-here`: the node runs without plugins; `store`: nothing could be written. Absent without `policy.bundles`",
    "the bundles",
)
.by(&[Label::one_of("code", &CODES)]);
pub(super) static OUTBOX: Metric = Metric::gauge(
    "countersign_outbox",
    "stored deliveries of events, including those that were given up; at most 100,000",
    "the journal",
);
pub(super) static RECEIVER_BROKEN: Metric = Metric::gauge(
    "countersign_receiver_broken",
    "1 if the files of an event receiver cannot be used",
    "the receivers",
)
.by(&[RECEIVER]);
pub(super) static RECEIVER_DELIVERIES: Metric = Metric::counter(
    "countersign_receiver_deliveries_total",
    "tries to deliver an event",
    "the deliveries",
)
.by(&[RECEIVER, Label::one_of("result", &["delivered", "failed"])]);
pub(super) static RECEIVER_DELIVERY_SECONDS: Metric = Metric::histogram(
    "countersign_receiver_delivery_seconds",
    "duration of tries to deliver an event",
    "the deliveries",
)
.by(&[RECEIVER]);
