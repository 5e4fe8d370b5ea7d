//! The log of a service: lines on standard error and in a file, each as people or programs want
//! them. Nobody waits for a log: lines that cannot be written are dropped.

pub mod config;
mod file;
mod format;
mod rotate;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use countersign_stdio::{Lines, Rest};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use self::config::OutputSettings;
use self::file::LogFile;
use self::format::Switch;
pub use config::{Format, RawLog, Settings, SettingsError};
pub use rotate::OpenError;

/// Changes a line that people read, such as by putting names in the place of ids. Lines for
/// programs stay as they are.
pub type Rewrite = Arc<dyn Fn(&str) -> Cow<'_, str> + Send + Sync>;

/// The running log. Writes what is queued when it is dropped, for a second at most.
pub struct Log {
    std: Output,
    file: Output,
    lines: LogFile,
    _rest: Rest,
}

/// Handles of one output, by which its settings change.
struct Output {
    filter: reload::Handle<Targets, Registry>,
    format: Switch,
}

impl Log {
    /// Begins to log. Call it once in a process.
    ///
    /// # Errors
    ///
    /// If the file of the settings cannot be opened.
    pub fn start(settings: &Settings, rewrite: Rewrite) -> Result<Self, OpenError> {
        let (log, layers) = Self::build(settings, rewrite)?;
        tracing_subscriber::registry().with(layers).init();
        Ok(log)
    }

    fn build(settings: &Settings, rewrite: Rewrite) -> Result<(Self, Vec<BoxedLayer>), OpenError> {
        let lines = LogFile::open(settings.file.as_ref())?;
        let (stderr, rest) = countersign_stdio::log_lines();
        let (std, std_layer) = output(settings.std.as_ref(), rewrite.clone(), Sink::Std(stderr));
        let file_settings = settings.file.as_ref().map(|file| &file.output);
        let (file, file_layer) = output(file_settings, rewrite, Sink::File(lines.clone()));
        let log = Self {
            std,
            file,
            lines,
            _rest: rest,
        };
        Ok((log, vec![std_layer, file_layer]))
    }

    /// Puts other settings in force, and opens the file again, in case it was renamed or removed.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened. The previous settings stay in force then.
    pub fn apply(&self, settings: &Settings) -> Result<(), OpenError> {
        self.lines.reopen(settings.file.as_ref())?;
        self.std.set(settings.std.as_ref());
        self.file
            .set(settings.file.as_ref().map(|file| &file.output));
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.flush();
    }
}

impl Output {
    fn set(&self, settings: Option<&OutputSettings>) {
        self.format.set(format_of(settings));
        // Fails only if the log has ended.
        let _ = self.filter.reload(filter(settings));
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn output(settings: Option<&OutputSettings>, rewrite: Rewrite, sink: Sink) -> (Output, BoxedLayer) {
    let colours = matches!(sink, Sink::Std(_)) && io::stderr().is_terminal();
    let format = Switch::new(format_of(settings));
    let (filter, handle) = reload::Layer::new(filter(settings));
    let writer = LineWriter {
        format: format.clone(),
        rewrite,
        sink,
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(format.clone())
        .with_ansi(colours)
        .with_writer(writer)
        .log_internal_errors(false)
        .with_filter(filter)
        .boxed();
    let output = Output {
        filter: handle,
        format,
    };
    (output, layer)
}

fn format_of(settings: Option<&OutputSettings>) -> Format {
    settings.map_or(Format::Text, |settings| settings.format)
}

/// Passes our own messages at the configured level, and those of libraries only from warnings up.
fn filter(settings: Option<&OutputSettings>) -> Targets {
    let Some(settings) = settings else {
        return Targets::new();
    };
    Targets::new()
        .with_default(settings.level.min(tracing::Level::WARN))
        .with_target("countersign", settings.level)
}

/// Takes the lines of one output.
#[derive(Clone)]
struct LineWriter {
    format: Switch,
    rewrite: Rewrite,
    sink: Sink,
}

#[derive(Clone)]
enum Sink {
    Std(Lines),
    File(LogFile),
}

impl LineWriter {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Std(stderr) => stderr.write_all(line),
            Sink::File(file) => {
                file.line(line.to_vec());
                Ok(())
            }
        }
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LineWriter {
    /// The subscriber hands over whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match self.format.get() {
            Format::Text => {
                let rewrite = self.rewrite.clone();
                self.put(rewrite(&one_line(&text)).as_bytes())?;
            }
            Format::Json | Format::Logfmt => self.put(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text from elsewhere, such as a plugin's reason, must not begin a line that looks like one of
/// ours. The other formats escape by themselves.
fn one_line(text: &str) -> Cow<'_, str> {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    if inner.contains(['\n', '\r']) {
        let escaped = inner.replace('\n', "\\n").replace('\r', "\\r");
        Cow::Owned(escaped + "\n")
    } else {
        Cow::Borrowed(text)
    }
}
