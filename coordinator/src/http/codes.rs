//! The codes of the API's problems. A task that is refused has a code of the nodes' list.

/// Each code with its meaning and what to do.
pub const CODES: [(&str, &str, &str); 65] = [
    (
        "api-key-credential",
        "an API key needs exactly one credential, not the hash of an empty text, and no passkey",
        "send `sha256` of a secret, or `requester`",
    ),
    (
        "api-key-in-file",
        "the API key is kept in the configuration",
        "change it there",
    ),
    (
        "api-key-name",
        "the name is not one for an API key",
        "use a-z, 0-9 and `-`",
    ),
    (
        "api-key-other",
        "the API key has another credential",
        "rotate it, or delete it first",
    ),
    (
        "api-key-overlap",
        "the overlap of a rotation is too long",
        "choose at most seven days",
    ),
    (
        "api-key-scopes",
        "the scopes and wallets do not make a key",
        "give a scope; leave `wallets` out, or list some; `admin` is not limited to wallets",
    ),
    (
        "api-key-taken",
        "another API key has the credential",
        "make a new secret for each key",
    ),
    (
        "api-key-unknown",
        "there is no such API key",
        "list the keys",
    ),
    (
        "body-malformed",
        "the body is not what the operation takes",
        "the message says where",
    ),
    (
        "body-timeout",
        "the body did not arrive in time",
        "send it at once",
    ),
    ("body-too-large", "the body is too large", "send less"),
    (
        "busy",
        "too many bodies are being read",
        "wait as `Retry-After` says",
    ),
    (
        "cursor-gone",
        "the entries behind the cursor are not kept any more, or the cursor is ahead of the list",
        "read what you follow anew, then begin without `after`",
    ),
    (
        "cursor-malformed",
        "the cursor is not one of this list",
        "take it from the page before",
    ),
    (
        "just-started",
        "the coordinator has just started and cannot exclude a replay",
        "wait as `Retry-After` says",
    ),
    (
        "length-required",
        "a body that is signed needs its length",
        "send `Content-Length`",
    ),
    (
        "no-such-method",
        "the path does not support the method",
        "look at the reference",
    ),
    (
        "no-such-path",
        "there is nothing at the path",
        "look at the reference",
    ),
    (
        "node-unknown",
        "the coordinator does not admit a node",
        "add it to the coordinator's configuration",
    ),
    (
        "nothing-selected",
        "nothing is selected to be sent again",
        "set a condition",
    ),
    (
        "query-malformed",
        "a parameter is unknown, repeated or malformed",
        "the message says which",
    ),
    (
        "request-body",
        "the body is not the one that was signed",
        "sign what is sent",
    ),
    (
        "request-repeated",
        "the signed request was accepted before",
        "sign a new one",
    ),
    (
        "request-time",
        "the time of a signed request is too far off",
        "set the clock",
    ),
    (
        "scope",
        "the API key lacks the scope",
        "use another key, or give it the scope",
    ),
    (
        "signed-request",
        "the headers of a signed request are incomplete or contradict each other",
        "the message says which",
    ),
    (
        "store",
        "the coordinator cannot read or write its database",
        "its operator checks the disk",
    ),
    (
        "task-conflict",
        "the task's id belongs to another task",
        "choose a new id",
    ),
    ("task-ended", "the task has ended", "look at its outcome"),
    (
        "task-id",
        "the text is not a task's id",
        "send 32 hexadecimal digits",
    ),
    (
        "task-not-pending",
        "the task does not collect votes, or does not any more",
        "look at its state",
    ),
    (
        "task-running",
        "the task's protocol runs",
        "wait for its outcome",
    ),
    (
        "task-signers",
        "the signers do not fit the wallet",
        "name as many members as it needs",
    ),
    (
        "task-submitted",
        "a preflight of a task that was submitted",
        "look at the task",
    ),
    (
        "task-unknown",
        "there is no such task",
        "list the tasks, or send it again",
    ),
    ("timeout", "there was no answer in time", "ask again"),
    (
        "too-few-approvers",
        "a task collects votes of more people than are listed",
        "ask for fewer, or list more",
    ),
    (
        "too-many-api-keys",
        "there are too many API keys",
        "delete one",
    ),
    (
        "too-many-preflights",
        "too many preflights are under way",
        "ask again in a moment",
    ),
    (
        "too-many-requests",
        "too many requests of the caller are under way",
        "wait as `Retry-After` says",
    ),
    (
        "too-many-streams",
        "too many streams are open",
        "close one, or read pages",
    ),
    (
        "too-many-tasks",
        "too many tasks are under way",
        "wait as `Retry-After` says",
    ),
    (
        "too-many-votes",
        "a key has voted on a task too often",
        "ask the requester for a new task",
    ),
    (
        "too-many-webhooks",
        "there are too many webhooks",
        "delete one",
    ),
    (
        "unauthorised",
        "there is no valid API key or signature",
        "send one",
    ),
    (
        "vote-not-genuine",
        "a vote does not prove what it says",
        "the message says why; vote again",
    ),
    (
        "vote-time",
        "a vote was made in the future",
        "set the clock",
    ),
    (
        "vote-unknown-approver",
        "a vote is of a key that no listed approver has",
        "list the key, if it may vote",
    ),
    (
        "wallet-conflict",
        "the coordinator knows another history of the wallet",
        "ask the operators of its nodes",
    ),
    ("wallet-gap", "a generation is missing", "send it, too"),
    (
        "wallet-generations",
        "there are no generations, too many, or of several wallets",
        "send those of one wallet, oldest first",
    ),
    (
        "wallet-holders",
        "a node to be checked holds no share",
        "correct the list",
    ),
    ("wallet-id", "the text is not a wallet's id", "send `csk1…`"),
    (
        "wallet-moving",
        "the wallet is being reshared",
        "wait until that has ended",
    ),
    (
        "wallet-order",
        "the order is not the one that made the wallet",
        "leave it out",
    ),
    (
        "wallet-scope",
        "the API key is limited to other wallets",
        "use another key",
    ),
    ("wallet-stale", "the wallet has moved on", "take it anew"),
    (
        "wallet-unknown",
        "there is no such wallet",
        "list the wallets",
    ),
    (
        "wallet-unproven",
        "a generation does not prove itself",
        "send all acknowledgements",
    ),
    (
        "webhook-filter",
        "a list of a webhook is empty",
        "leave it out for all, or list some",
    ),
    (
        "webhook-key",
        "the keys of webhooks cannot be written",
        "the coordinator's operator checks the disk",
    ),
    (
        "webhook-key-unknown",
        "no key of webhooks has this `kid`",
        "list the keys and send the `kid` of the first",
    ),
    (
        "webhook-name",
        "the name is not one for a webhook",
        "use a-z, 0-9 and `-`",
    ),
    (
        "webhook-unknown",
        "there is no such webhook",
        "list the webhooks",
    ),
    (
        "webhook-url",
        "the URL is not one for a webhook, or leads where webhooks may not",
        "use https; the operator may allow networks by `webhook_networks`",
    ),
];
