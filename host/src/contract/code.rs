//! The one table of codes with which the host itself refuses. Journals, metrics and operators rely
//! on them: a code is never renamed and its meaning never changes.

use std::fmt;

use countersign_protocol::code::Explained;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! codes {
    ($($name:ident = $text:literal, $meaning:literal, $remedy:literal;)*) => {
        /// Why a plugin gave no usable answer. A plugin's own rejections carry codes of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All codes, numbered by their place in this list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The rows of the documentation, in the order of [`Self::ALL`].
            pub const EXPLAINED: &[Explained] = &[$(Explained {
                code: $text,
                meaning: $meaning,
                remedy: $remedy,
            },)*];

            /// The text by which records and metrics know the code.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    NoPlugin = "policy-missing",
        "no entry guards the task",
        "configure one, or widen a scope";
    Config = "plugin-config",
        "the entry's configuration cannot be read, or has more than 4 MiB",
        "correct the file or its path";
    Busy = "plugin-busy",
        "all instances were in use, or other decisions were under way, until the deadline",
        "try again; look for a slow plugin";
    Missing = "plugin-missing",
        "the component's file is not there or unreadable",
        "install it, or correct the path";
    Custody = "plugin-custody",
        "somebody other than root or the node's user could have written the component's file, or a folder or link on the way to it",
        "look at the file, then run `chmod go-w` or `chown` as the reason says";
    TooLarge = "plugin-too-large",
        "the file exceeds `policy.compile.component_bytes`",
        "strip it, or raise the limit";
    Digest = "plugin-digest",
        "the file is not the pinned one",
        "pin the new digest if the change was meant";
    NotAComponent = "plugin-not-a-component",
        "the file is something else",
        "build it for `wasm32-wasip2`";
    Signature = "plugin-signature",
        "no trusted publisher signed it",
        "fetch the publisher's `.sig`";
    Compile = "plugin-compile",
        "not compiled within the compiler's limits",
        "raise `policy.compile` if you trust the author";
    NotGranted = "plugin-not-granted",
        "it imports what its grants do not cover",
        "grant it, if it should have it";
    Incompatible = "plugin-incompatible",
        "it was built for another contract",
        "rebuild it, or update the node";
    Name = "plugin-name",
        "its own name is not that of its entry",
        "rename the entry";
    Grants = "plugin-grants",
        "the grants themselves are invalid",
        "correct them";
    Trap = "plugin-trap",
        "it panicked, aborted, or accessed memory that it does not have",
        "tell its author";
    Exit = "plugin-exit",
        "it asked to exit",
        "tell its author";
    Stack = "plugin-stack",
        "it exhausted the call stack",
        "tell its author";
    Memory = "plugin-memory",
        "it wanted more memory than granted",
        "raise `memory_bytes`, if it should have it";
    Cpu = "plugin-cpu",
        "it used more CPU time than granted",
        "raise `cpu_ms`, if it should have it";
    Timeout = "plugin-timeout",
        "no answer before the deadline or within `wall_ms`",
        "find out what it waits for";
    Output = "plugin-output",
        "it passed too much data to the node",
        "tell its author";
    Budget = "plugin-budget",
        "too many log lines, key operations, requests or state operations",
        "tell its author";
    RejectCode = "plugin-reject-code",
        "the plugin rejects with an invalid code: empty, longer than 64 bytes, or with characters other than lower-case letters, digits, `-` and `.`",
        "ask its author to correct the code";
    Misconfigured = "plugin-failed:misconfigured",
        "it rejects its configuration",
        "correct it";
    Unavailable = "plugin-failed:unavailable",
        "it cannot reach something outside, such as an approval server",
        "see the reason";
    Unsupported = "plugin-failed:unsupported",
        "it does not understand the task",
        "ask its author; limit its scope";
    Internal = "plugin-failed:internal",
        "it reports a defect of its own",
        "tell its author";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or_else(|| D::Error::custom(format!("no code `{text}`")))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
