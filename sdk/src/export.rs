//! Maps the component's exports to [`Plugin`](crate::Plugin), and decides nothing itself.

#[cfg(target_family = "wasm")]
pub use wasm::{check, describe, evaluate, observe, probe};

#[cfg(target_family = "wasm")]
mod wasm {
    use crate::node::Node;
    use crate::parsed::Parsed;
    use crate::{Failure, Info, Plugin, Task, Verdict};

    /// Implements the export `describe` for the plugin `P`.
    pub fn describe<P: Plugin>(version: &str) -> Info {
        Info {
            name: P::NAME.into(),
            version: version.into(),
            description: P::DESCRIPTION.into(),
            config_schema: P::CONFIG_SCHEMA.map(Into::into),
        }
    }

    /// Implements the export `check` for the plugin `P`.
    pub fn check<P: Plugin>(config: &Parsed<P::Config>) -> Result<(), Failure> {
        P::check(&*config.get(&Node)?, &Node)
    }

    /// Implements the export `evaluate` for the plugin `P`.
    pub fn evaluate<P: Plugin>(config: &Parsed<P::Config>, task: Task) -> Result<Verdict, Failure> {
        P::evaluate(&*config.get(&Node)?, &task, &Node)
    }

    /// Implements the export `observe` for the plugin `P`.
    pub fn observe<P: Plugin>(config: &Parsed<P::Config>, task: Task) -> Result<(), Failure> {
        P::observe(&*config.get(&Node)?, &task, &Node)
    }

    /// Implements the export `probe` for the plugin `P`.
    pub fn probe<P: Plugin>(config: &Parsed<P::Config>) -> Result<(), Failure> {
        P::probe(&*config.get(&Node)?, &Node)
    }
}

/// Exports a [`Plugin`](crate::Plugin) from the component. To be called once per crate; outside
/// WebAssembly it expands to nothing.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::exports::countersign::policy::{counting, health, plugin};

            type Config = <$plugin as $crate::Plugin>::Config;

            std::thread_local! {
                static CONFIG: $crate::private::Parsed<Config> = const { $crate::private::Parsed::new() };
            }

            struct Component;

            impl plugin::Guest for Component {
                fn describe() -> $crate::Info {
                    $crate::private::describe::<$plugin>(env!("CARGO_PKG_VERSION"))
                }

                fn check() -> Result<(), $crate::Failure> {
                    CONFIG.with($crate::private::check::<$plugin>)
                }

                fn evaluate(task: $crate::Task) -> Result<$crate::Verdict, $crate::Failure> {
                    CONFIG.with(|config| $crate::private::evaluate::<$plugin>(config, task))
                }
            }

            impl counting::Guest for Component {
                fn observe(task: $crate::Task) -> Result<(), $crate::Failure> {
                    CONFIG.with(|config| $crate::private::observe::<$plugin>(config, task))
                }
            }

            impl health::Guest for Component {
                fn probe() -> Result<(), $crate::Failure> {
                    CONFIG.with($crate::private::probe::<$plugin>)
                }
            }

    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
