//! `logging`: log lines, tagged by the node with plugin and task. Always available.

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::logging;
use crate::contract::evaluation::{Level, LogLine};
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::contract::text::{self, printable};
use crate::sandbox::call_state::CallState;
use crate::sandbox::states::States;
use crate::sandbox::terms::{Budget, Reach};

/// Lines that are kept of those in the budget.
const KEPT_LINES: u32 = 100;
const FIELDS: usize = 16;

pub(crate) enum Log {}

impl Capability for Log {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/logging",
        pre_init: PreInit::Linked,
    }];
    const NEED: Need = Need::Nothing;
    const REACH: Reach = Reach::Sandbox;
    const BUDGET: Budget = Budget {
        most: 1000,
        of: "log lines",
    };

    type Grant = ();

    fn granted(_grants: &Grants) -> Option<&()> {
        Some(&())
    }

    fn anchors(_grants: &Grants, _services: &dyn Services) -> Vec<Anchor> {
        Vec::new()
    }

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        logging::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }

    fn link_for_pre_init(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        Self::link(linker)
    }
}

/// The lines of one call.
#[derive(Default)]
struct Lines(Vec<LogLine>);

/// Takes the lines that were logged in a call.
pub(crate) fn take_lines(states: &mut States) -> Vec<LogLine> {
    states.take::<Lines>().0
}

impl logging::Host for CallState {
    fn log(
        &mut self,
        level: logging::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        if self.count::<Log>()? > KEPT_LINES {
            return Ok(());
        }
        let cut = |text: &str| printable(text, text::LINE);
        let fields = fields
            .iter()
            .take(FIELDS)
            .map(|(name, value)| (cut(name), cut(value)))
            .collect();
        let line = LogLine {
            level: level.into(),
            message: cut(&message),
            fields,
        };
        tracing::debug!(plugin = self.context.name, level = ?line.level, fields = ?line.fields, "{}", line.message);
        self.states.of::<Lines>().0.push(line);
        Ok(())
    }
}

impl From<logging::Level> for Level {
    fn from(level: logging::Level) -> Self {
        match level {
            logging::Level::Trace => Self::Trace,
            logging::Level::Debug => Self::Debug,
            logging::Level::Info => Self::Info,
            logging::Level::Warn => Self::Warn,
            logging::Level::Error => Self::Error,
        }
    }
}
