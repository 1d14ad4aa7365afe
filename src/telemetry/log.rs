//! Log lines: text on a terminal, JSON otherwise; one line each, whatever a citizen wrote into a name.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One line of text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log.filter is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody has set it up before.
    #[error("logging is set up twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging to stderr for the process. `filter` is as in `RUST_LOG`: `info,sportello::runtime=debug`.
pub fn init(format: LineFormat, filter: &str) -> Result<(), LogError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let json = match format {
        LineFormat::Json => true,
        LineFormat::Text => false,
        LineFormat::Auto => !io::stderr().is_terminal(),
    };
    let writer = OneLine(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(layer.with_writer(writer)).try_init()?;
    } else {
        // No colours: their escapes could not be told from those that somebody else wrote.
        registry.with(tracing_subscriber::fmt::layer().with_ansi(false).with_target(true).with_writer(writer)).try_init()?;
    }
    Ok(())
}

/// Makes writers that keep each line one line and free of control characters.
#[derive(Debug, Clone, Copy)]
pub struct OneLine<M>(pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// See [`OneLine`]. The formatter hands over one whole line at a time.
#[derive(Debug)]
pub struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (body, end) = match text.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (text.as_ref(), ""),
        };
        let escaped = escape(body);
        self.0.write_all(escaped.as_bytes())?;
        self.0.write_all(end.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters (C0, DEL, C1), line separators and marks that turn the direction of writing, as `\u009b`: valid inside
/// JSON too.
fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    let unsafe_in_a_line = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(unsafe_in_a_line) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unsafe_in_a_line(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(json: bool, nasty: &str) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let writer = OneLine(move || sink.clone());
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
        let log = || tracing::info!(reason = nasty, shown = %nasty, "refused {nasty}");
        if json {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.json().flatten_event(true)), log);
        } else {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        }
        let bytes = lines.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn nobody_writes_a_second_line() {
        let nasty = "a\nINFO all is well\u{1b}[2J\u{9b}\u{7f}\u{202e}\r";
        for json in [false, true] {
            let line = written(json, nasty);
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line:?}");
        }
        let parsed: serde_json::Value = serde_json::from_str(&written(true, nasty)).expect("JSON");
        assert_eq!(parsed["reason"], nasty);
    }
}
