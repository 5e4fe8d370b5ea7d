//! The one table of codes with which the host itself refuses. Journals, metrics and operators rely
//! on them: a code is never renamed and never given another meaning.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a plugin gave no usable answer. A plugin's own rejections carry codes of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// No plugin is configured: nobody can approve.
    NoPlugin = "policy-missing",
    /// The entry's configuration cannot be read.
    Config = "plugin-config",
    /// Every instance was in use until the deadline.
    Busy = "plugin-busy",
    /// The component's file is missing or unreadable.
    Missing = "plugin-missing",
    /// Somebody else could have written the component's file.
    Custody = "plugin-custody",
    /// The component's file exceeds the limit.
    TooLarge = "plugin-too-large",
    /// The component's file is not the pinned one.
    Digest = "plugin-digest",
    /// The file is not a WebAssembly component.
    NotAComponent = "plugin-not-a-component",
    /// No trusted publisher signed the component.
    Signature = "plugin-signature",
    /// The component could not be compiled within the compiler's limits.
    Compile = "plugin-compile",
    /// The component imports what was not granted.
    NotGranted = "plugin-not-granted",
    /// The component does not fit the contract.
    Incompatible = "plugin-incompatible",
    /// The component describes itself by another name.
    Name = "plugin-name",
    /// The grants themselves are malformed.
    Grants = "plugin-grants",
    /// The component trapped: a panic, an abort, an invalid access.
    Trap = "plugin-trap",
    /// The component asked to exit.
    Exit = "plugin-exit",
    /// The call stack was exhausted.
    Stack = "plugin-stack",
    /// More memory was wanted than granted.
    Memory = "plugin-memory",
    /// More CPU time was used than granted.
    Cpu = "plugin-cpu",
    /// No answer before the deadline or within the granted time.
    Timeout = "plugin-timeout",
    /// More data was passed to the host than allowed.
    Output = "plugin-output",
    /// More log lines, key operations or requests than allowed.
    Budget = "plugin-budget",
    /// The plugin rejects with a code that is none.
    RejectCode = "plugin-reject-code",
    /// The plugin finds its configuration wrong.
    Misconfigured = "plugin-failed:misconfigured",
    /// The plugin misses something outside.
    Unavailable = "plugin-failed:unavailable",
    /// The plugin does not understand the task.
    Unsupported = "plugin-failed:unsupported",
    /// The plugin reports a defect of its own.
    Internal = "plugin-failed:internal",
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
