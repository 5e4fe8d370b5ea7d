//! From the component's exports to [`Plugin`](crate::Plugin). It decides nothing.

#[cfg(target_family = "wasm")]
pub use wasm::{check, describe, evaluate, probe};

#[cfg(target_family = "wasm")]
mod wasm {
    use crate::node::Node;
    use crate::{Failure, Host, Info, Plugin, Task, Verdict};

    /// The export `describe` of `P`.
    pub fn describe<P: Plugin>(version: &str) -> Info {
        Info {
            name: P::NAME.into(),
            version: version.into(),
            description: P::DESCRIPTION.into(),
            config_schema: P::CONFIG_SCHEMA.map(Into::into),
        }
    }

    /// The export `check` of `P`.
    pub fn check<P: Plugin>() -> Result<(), Failure> {
        P::check(&config::<P>()?, &Node)
    }

    /// The export `evaluate` of `P`.
    pub fn evaluate<P: Plugin>(task: Task) -> Result<Verdict, Failure> {
        P::evaluate(&config::<P>()?, &task, &Node)
    }

    /// The export `probe` of `P`.
    pub fn probe<P: Plugin>() -> Result<(), Failure> {
        P::probe(&config::<P>()?, &Node)
    }

    fn config<P: Plugin>() -> Result<P::Config, Failure> {
        crate::json::config(&Node.document())
    }
}

/// Makes a [`Plugin`](crate::Plugin) the component's export. Once per crate; expands to nothing outside WebAssembly.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::exports::countersign::policy::{health, plugin};

            struct Component;

            impl plugin::Guest for Component {
                fn describe() -> $crate::Info {
                    $crate::private::describe::<$plugin>(env!("CARGO_PKG_VERSION"))
                }

                fn check() -> Result<(), $crate::Failure> {
                    $crate::private::check::<$plugin>()
                }

                fn evaluate(task: $crate::Task) -> Result<$crate::Verdict, $crate::Failure> {
                    $crate::private::evaluate::<$plugin>(task)
                }
            }

            impl health::Guest for Component {
                fn probe() -> Result<(), $crate::Failure> {
                    $crate::private::probe::<$plugin>()
                }
            }

    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
