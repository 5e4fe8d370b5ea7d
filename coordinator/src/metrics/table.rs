//! The metrics of a coordinator. `docs/metrics.md` and the dashboard are made from this table.
//!
//! Labels have few distinct values: names of the configuration, routes and codes of this program,
//! but never a path, a code or a text made up by a caller or a node.

use countersign_metrics::{Label, Metric, Table};

const KIND: Label = Label::one_of("kind", &["keygen", "keysign", "keyreshare", "keysharesign"]);
const NODE: &[Label] = &[Label::named("node")];
const WEBHOOK: &[Label] = &[Label::named("webhook")];
const ROUTE: Label = Label::named("route");

/// All metrics, under the headings of the documentation.
pub const TABLE: &Table = &[
    (
        "Coordinator",
        &[
            &BUILD,
            &READY,
            &STORE_BYTES,
            &DISK_FREE_BYTES,
            &DISK_SIZE_BYTES,
            &CERTIFICATE_EXPIRY,
            &INFLUXDB_PUSHES,
            &SERIES_LEFT_OUT,
        ],
    ),
    (
        "Nodes",
        &[
            &NODES,
            &NODES_CONNECTED,
            &NODE_CONNECTED,
            &NODE_CLOCK_SKEW,
            &GUESTS,
        ],
    ),
    (
        "Tasks",
        &[
            &TASKS,
            &TASKS_OPEN,
            &TASKS_LIMIT,
            &TASK_REASONS,
            &TASK_STAGE_SECONDS,
        ],
    ),
    (
        "API",
        &[&REQUESTS, &REQUEST_SECONDS, &TURNED_AWAY, &STREAMS_OPEN],
    ),
    (
        "Events",
        &[
            &FEED_HEAD,
            &WEBHOOKS,
            &WEBHOOK_ATTEMPTS,
            &WEBHOOK_ATTEMPT_SECONDS,
            &WEBHOOK_WAITING,
            &WEBHOOK_FAILING_SINCE,
        ],
    ),
];

pub(super) static BUILD: Metric = Metric::gauge(
    "countersign_coordinator_build",
    "1; the label has the program's version",
    "the program",
)
.by(&[Label::named("version")]);
pub(super) static READY: Metric = Metric::gauge(
    "countersign_coordinator_ready",
    "1 if `/ready` would return 200: everything can be stored",
    "the store",
);
pub(super) static STORE_BYTES: Metric = Metric::gauge(
    "countersign_coordinator_store_bytes",
    "size of the database",
    "the file",
);
pub(super) static DISK_FREE_BYTES: Metric = Metric::gauge(
    "countersign_coordinator_disk_free_bytes",
    "free space where the database is",
    "the file system",
);
pub(super) static DISK_SIZE_BYTES: Metric = Metric::gauge(
    "countersign_coordinator_disk_size_bytes",
    "size of the file system where the database is",
    "the file system",
);
pub(super) static CERTIFICATE_EXPIRY: Metric = Metric::gauge(
    "countersign_coordinator_certificate_expiry_timestamp_seconds",
    "the first instant at which a certificate of the API's chain is no longer valid; absent without `tls`",
    "the certificate in force",
);
pub(super) static INFLUXDB_PUSHES: Metric = Metric::counter(
    "countersign_coordinator_influxdb_pushes_total",
    "pushes to the InfluxDB that succeeded or failed; absent before the first",
    "the push",
)
.by(&[Label::one_of("result", &["written", "failed"])]);
pub(super) static SERIES_LEFT_OUT: Metric = Metric::gauge(
    "countersign_coordinator_series_left_out",
    "series that are not shown because a metric has more than 1,000",
    "the report",
);
pub(super) static NODES: Metric = Metric::gauge(
    "countersign_coordinator_nodes",
    "admitted nodes",
    "the configuration",
);
pub(super) static NODES_CONNECTED: Metric = Metric::gauge(
    "countersign_coordinator_nodes_connected",
    "admitted nodes that are connected",
    "the connections",
);
pub(super) static NODE_CONNECTED: Metric = Metric::gauge(
    "countersign_coordinator_node_connected",
    "1 if the node is connected. Nodes are named as in `nodes`",
    "the connections",
)
.by(NODE);
pub(super) static NODE_CLOCK_SKEW: Metric = Metric::gauge(
    "countersign_coordinator_node_clock_skew_seconds",
    "the node's clock minus the coordinator's when the node last described itself, less the time that this took; absent until then",
    "what nodes say of themselves",
)
.by(NODE);
pub(super) static GUESTS: Metric = Metric::counter(
    "countersign_coordinator_guests_total",
    "keys that showed an invitation and joined by it, were on record and told so again, or were refused; absent before the first",
    "the invitations",
)
.by(&[Label::one_of("result", &["joined", "told-again", "refused"])]);
pub(super) static TASKS: Metric = Metric::gauge(
    "countersign_coordinator_tasks",
    "stored tasks",
    "the database's index of tasks",
)
.by(&[
    KIND,
    Label::one_of(
        "state",
        &[
            "pending",
            "waiting",
            "approving",
            "running",
            "completed",
            "rejected",
            "failed",
            "expired",
            "cancelled",
        ],
    ),
]);
pub(super) static TASKS_OPEN: Metric = Metric::gauge(
    "countersign_coordinator_tasks_open",
    "tasks of which more is expected, reshares in doubt included",
    "the scheduler",
);
pub(super) static TASKS_LIMIT: Metric = Metric::gauge(
    "countersign_coordinator_tasks_limit",
    "the most tasks that may be open (`limits.open_tasks`)",
    "the configuration",
);
pub(super) static TASK_REASONS: Metric = Metric::counter(
    "countersign_coordinator_task_reasons_total",
    "tasks that ended without a result, by [code](codes.md). `plugin`: any code of a plugin or a node's sandbox; `other`: a code that this version does not know",
    "the scheduler",
)
.by(&[Label::named("code")]);
pub(super) static TASK_STAGE_SECONDS: Metric = Metric::histogram(
    "countersign_coordinator_task_stage_seconds",
    "time that tasks spent in each stage, and altogether. `pending`: for people's votes; `waiting`: for nodes; `approving`: for decisions; `running`: the protocol",
    "the scheduler",
)
.by(&[
    KIND,
    Label::one_of("stage", &["pending", "waiting", "approving", "running", "total"]),
]);
pub(super) static REQUESTS: Metric = Metric::counter(
    "countersign_coordinator_requests_total",
    "answers of the API. The route is a pattern such as `/v1/tasks/{id}`, or `none`",
    "the API",
)
.by(&[
    ROUTE,
    Label::one_of("status", &["1xx", "2xx", "3xx", "4xx", "5xx"]),
]);
pub(super) static REQUEST_SECONDS: Metric = Metric::histogram(
    "countersign_coordinator_request_seconds",
    "time until an answer begins, long polls included",
    "the API",
)
.by(&[ROUTE]);
pub(super) static TURNED_AWAY: Metric = Metric::counter(
    "countersign_coordinator_turned_away_total",
    "requests that were answered with 429 or 503: there was no room, or no answer in time",
    "the API",
)
.by(&[Label::one_of("status", &["429", "503"])]);
pub(super) static STREAMS_OPEN: Metric = Metric::gauge(
    "countersign_coordinator_streams_open",
    "event streams that are open",
    "the API",
);
pub(super) static FEED_HEAD: Metric = Metric::gauge(
    "countersign_coordinator_feed_head",
    "place of the newest event in the feed",
    "the database",
);
pub(super) static WEBHOOKS: Metric = Metric::gauge(
    "countersign_coordinator_webhooks",
    "webhooks",
    "the database",
);
pub(super) static WEBHOOK_ATTEMPTS: Metric = Metric::counter(
    "countersign_coordinator_webhook_attempts_total",
    "attempts to deliver an event. `failed`: it will be tried again; `given-up`: it will not",
    "the deliveries",
)
.by(&[Label::one_of(
    "result",
    &["delivered", "failed", "given-up"],
)]);
pub(super) static WEBHOOK_ATTEMPT_SECONDS: Metric = Metric::histogram(
    "countersign_coordinator_webhook_attempt_seconds",
    "duration of attempts",
    "the deliveries",
)
.by(WEBHOOK);
pub(super) static WEBHOOK_WAITING: Metric = Metric::gauge(
    "countersign_coordinator_webhook_waiting",
    "events that wait to be delivered, 10,000 at most, beside those further on in the feed",
    "the deliveries",
)
.by(WEBHOOK);
pub(super) static WEBHOOK_FAILING_SINCE: Metric = Metric::gauge(
    "countersign_coordinator_webhook_failing_since_timestamp_seconds",
    "the instant since which every attempt has failed; absent if the last one succeeded",
    "the deliveries",
)
.by(WEBHOOK);
