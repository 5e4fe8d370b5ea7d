//! Enums whose variants have one name each, listed once.

/// Generates an enum's `ALL` list, its names and their parser:
/// `named! { Kind { A = "a", B = "b" } or Unknown("kind") }`.
macro_rules! named {
    ($enum:ident { $($variant:ident = $name:literal),* $(,)? } or $unknown:ident($what:literal)) => {
        impl $enum {
            /// All variants, in the order of their declaration.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name in tasks, configurations and texts.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $enum {
            type Err = $unknown;

            fn from_str(text: &str) -> Result<Self, $unknown> {
                let named = Self::ALL.into_iter().find(|one| one.name() == text);
                named.ok_or_else(|| $unknown(text.chars().take(120).collect()))
            }
        }

        #[doc = concat!("The text is not the name of a ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{0}` is not a {what}; use one of {names}", what = $what, names = [$($name),*].join(", "))]
        pub struct $unknown(String);
    };
}
pub(crate) use named;
