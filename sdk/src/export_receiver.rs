//! Maps the component's exports to [`EventReceiver`](crate::EventReceiver).

#[cfg(target_family = "wasm")]
pub use wasm::{check_receiver, deliver, describe_receiver};

#[cfg(target_family = "wasm")]
mod wasm {
    use crate::node::Node;
    use crate::{Event, EventReceiver, Failure, Host, Info};

    /// Implements the export `describe` for the receiver `R`.
    pub fn describe_receiver<R: EventReceiver>(version: &str) -> Info {
        Info {
            name: R::NAME.into(),
            version: version.into(),
            description: R::DESCRIPTION.into(),
            config_schema: R::CONFIG_SCHEMA.map(Into::into),
        }
    }

    /// Implements the export `check` for the receiver `R`.
    pub fn check_receiver<R: EventReceiver>() -> Result<(), Failure> {
        R::check(&config::<R>()?, &Node)
    }

    /// Implements the export `deliver` for the receiver `R`.
    pub fn deliver<R: EventReceiver>(event: Event) -> Result<(), Failure> {
        R::deliver(&config::<R>()?, &event, &Node)
    }

    fn config<R: EventReceiver>() -> Result<R::Config, Failure> {
        crate::json::config(&Node.document())
    }
}

/// Exports an [`EventReceiver`](crate::EventReceiver) from the component. To be called once per
/// crate; expands to nothing outside WebAssembly.
#[macro_export]
macro_rules! export_event_receiver {
    ($receiver:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::event::exports::countersign::policy::event_receiver;

            struct Component;

            impl event_receiver::Guest for Component {
                fn describe() -> $crate::Info {
                    $crate::private::describe_receiver::<$receiver>(env!("CARGO_PKG_VERSION"))
                }

                fn check() -> Result<(), $crate::Failure> {
                    $crate::private::check_receiver::<$receiver>()
                }

                fn deliver(event: $crate::Event) -> Result<(), $crate::Failure> {
                    $crate::private::deliver::<$receiver>(event)
                }
            }

            $crate::bindings::event::export_event_component!(
                Component with_types_in $crate::bindings::event
            );
        };
    };
}
