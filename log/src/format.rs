//! The form of a line, which may change while the log runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{Event, Subscriber};
use tracing_logfmt::EventsFormatter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Full, Json, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::Format;

/// The formats of one output, and the one in force. Clones share them.
#[derive(Clone)]
pub struct Switch(Arc<Formats>);

struct Formats {
    chosen: ArcSwap<Format>,
    text: format::Format<Full>,
    json: format::Format<Json>,
    logfmt: EventsFormatter,
}

impl Switch {
    pub fn new(chosen: Format) -> Self {
        let json = format::json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        Self(Arc::new(Formats {
            chosen: ArcSwap::from_pointee(chosen),
            text: format::format().with_target(false),
            json,
            logfmt: EventsFormatter::default(),
        }))
    }

    pub fn get(&self) -> Format {
        **self.0.chosen.load()
    }

    pub fn set(&self, chosen: Format) {
        self.0.chosen.store(Arc::new(chosen));
    }
}

impl<S, N> FormatEvent<S, N> for Switch
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.get() {
            Format::Text => self.0.text.format_event(context, writer, event),
            Format::Json => self.0.json.format_event(context, writer, event),
            Format::Logfmt => self.0.logfmt.format_event(context, writer, event),
        }
    }
}
