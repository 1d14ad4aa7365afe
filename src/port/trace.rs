//! W3C trace context: one id from the adapter to the operator, carried as a plain string through broker and journal.
//! Source: W3C Trace Context, section 3.2.

use std::fmt;
use std::str::FromStr;

/// A `traceparent`. `Display` writes it, `FromStr` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

/// Why a text is not a `traceparent`. Whoever gets one starts a trace of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a traceparent of W3C Trace Context")]
pub struct TraceParentError;

impl TraceParent {
    /// A new trace.
    pub fn start() -> Self {
        // Both ids must not be zero; zero comes once in 2⁶⁴ and is replaced.
        Self { trace_id: rand::random::<u128>().max(1), span_id: rand::random::<u64>().max(1), sampled: true }
    }

    /// The trace that `text` carries, or a new one if it carries none.
    pub fn read_or_start(text: Option<&str>) -> Self {
        text.and_then(|text| text.parse().ok()).unwrap_or_else(Self::start)
    }

    /// The next step of the same trace: what is sent on.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: rand::random::<u64>().max(1), ..self }
    }

    /// The trace's id, 32 hexadecimal digits: the field `trace_id` of log lines.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// The trace's id in a `traceparent` as it travels: for log lines, without copying it.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.get(3..35).filter(|id| is_lower_hex(id))
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let mut parts = text.split('-');
        let mut next = |length: usize| parts.next().filter(|part| part.len() == length && is_lower_hex(part)).ok_or(TraceParentError);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A version above 00 may have more parts, which are not ours to read; ff is forbidden.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(TraceParentError);
        }
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| TraceParentError)?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| TraceParentError)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceParentError)?;
        if trace_id == 0 || span_id == 0 {
            return Err(TraceParentError);
        }
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_standard_allows() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(good.parse::<TraceParent>().expect("good").to_string(), good);
        assert!("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what".parse::<TraceParent>().is_ok());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let parent = TraceParent::start();
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child, parent);
        assert_eq!(trace_id(&child.to_string()), Some(parent.trace_id().as_str()));
        assert_eq!(trace_id("00-short"), None);
        assert_eq!(TraceParent::read_or_start(Some(&child.to_string())), child);
        assert_ne!(TraceParent::read_or_start(Some("nonsense")).trace_id(), TraceParent::read_or_start(None).trace_id());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<TraceParent>();
        }
    }
}
